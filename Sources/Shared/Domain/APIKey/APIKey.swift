package import Foundation

/// What a key may do and spend; nil means no limit of that kind.
package struct APIKeyLimits: Sendable, Equatable {
    /// Budget and rates of the key as a whole.
    package var spending: SpendingLimits
    /// A warning threshold below the budget.
    package var softBudget: Decimal?
    /// Requests in flight at once.
    package var maxParallelRequests: Int?
    /// Per model name `{budgetLimit, timePeriod}`, as the client sent it. LiteLLM wants a licence for it.
    package var modelMaxBudget: JSONValue?
    /// Per model name requests a minute.
    package var modelRpmLimit: JSONValue?
    /// Per model name tokens a minute.
    package var modelTpmLimit: JSONValue?

    /// No limits unless told otherwise.
    package init(
        spending: SpendingLimits = SpendingLimits(), softBudget: Decimal? = nil, maxParallelRequests: Int? = nil,
        modelMaxBudget: JSONValue? = nil, modelRpmLimit: JSONValue? = nil, modelTpmLimit: JSONValue? = nil
    ) {
        self.spending = spending
        self.softBudget = softBudget
        self.maxParallelRequests = maxParallelRequests
        self.modelMaxBudget = modelMaxBudget
        self.modelRpmLimit = modelRpmLimit
        self.modelTpmLimit = modelTpmLimit
    }
}

/// Something LiteLLM would not do for a key that works otherwise.
package struct APIKeyWarning: Sendable, Codable, Equatable {
    /// A stable snake_case code.
    package var code: String
    /// The field that has no effect, in the API's spelling.
    package var field: String
    /// One sentence.
    package var message: String

    /// A warning.
    package init(code: String, field: String, message: String) {
        self.code = code
        self.field = field
        self.message = message
    }
}

/// Why a key was revoked.
package enum RevokeReason: String, Sendable, Codable, CaseIterable {
    /// Its owner or an admin deleted it; it is gone from lists.
    case deleted
    /// It was taken away, and stays visible as revoked.
    case revoked
    /// Its time was over, and it was cleaned away.
    case expired
}

/// An API key: what should be true of it, and what LiteLLM was seen to have.
package struct APIKey: Sendable, Equatable {
    /// Also the end of the alias.
    package var id: UUID
    /// Who owns it.
    package var userId: UUID
    /// The team it is booked to.
    package var teamId: UUID?
    /// The owner's name for it.
    package var name: String?
    /// SHA-256 of the secret in hexadecimal: LiteLLM's token id.
    package var hash: String
    /// The secret's first seven characters.
    package var prefix: String
    /// LiteLLM's name for it; unique for ever.
    package var alias: String
    /// Public model names that it was asked for, sorted; never empty.
    package var modelIds: [String]
    /// Those of them that its owner may use now, sorted: what LiteLLM is to allow. Of an empty list it is refused there.
    package var grantedModelIds: [String]
    /// The subscription that it was asked for by, as older clients do.
    package var subscriptionId: UUID?
    /// The owner's own data.
    package var metadata: JSONValue
    /// Ours only: LiteLLM wants a licence for them.
    package var tags: [String]
    /// Operators' names for what it is part of, such as a workshop; ours only.
    package var labels: [String] = []
    /// Booleans such as `allowChatCompletions`.
    package var permissions: JSONValue
    /// What it may do and spend.
    package var limits: APIKeyLimits
    /// Spend as LiteLLM last told, and when that was.
    package var currentSpend: Decimal?
    /// When that was.
    package var spendTakenAt: Date?
    /// LiteLLM refuses it from then on.
    package var expiresAt: Date?
    /// The wish: false from the moment somebody revokes it.
    package var isActive: Bool
    /// When somebody revoked it.
    package var revokeRequestedAt: Date?
    /// Why somebody did.
    package var revokeReason: RevokeReason?
    /// The fact: LiteLLM was read back and refuses it.
    package var revokedAt: Date?
    /// The fact: LiteLLM was read back and no longer has it.
    package var deletedAt: Date?
    /// Since when LiteLLM refuses it for the sake of its owner or for want of models.
    package var blockedAt: Date?
    /// Until then a create attempt may be under way; nil when none was ever made.
    package var createDeadlineAt: Date?
    /// When its secret was last changed.
    package var rotatedAt: Date?
    /// When its spend starts anew, as LiteLLM last told.
    package var budgetResetAt: Date?
    /// The last use, as far as LiteLLM told.
    package var lastUsedAt: Date?
    /// How far LiteLLM agrees.
    package var sync: SyncState
    /// What LiteLLM does not do for it.
    package var warnings: [APIKeyWarning]
    /// When the row was made.
    package var createdAt: Date
    /// When the row was last changed.
    package var updatedAt: Date

    /// Whether a create that was asked for has not come to its end.
    package var isBeingCreated: Bool { sync.versionApplied == 0 && sync.status == .pending }

    /// Whether its creation was given up before LiteLLM ever had it.
    package var neverCreated: Bool { sync.status == .failed && sync.versionApplied == 0 }

    /// Whether clients see it as active: wanted, not given up and not past its expiry.
    package func isUsable(at now: Date) -> Bool {
        isActive && !neverCreated && !hasNothingToUse && (expiresAt.map { $0 > now } ?? true)
    }

    /// Whether its owner may use none of its models any more, so that LiteLLM is to refuse it.
    package var hasNothingToUse: Bool { grantedModelIds.isEmpty }

    /// Whether its owner or an admin deleted it.
    package var isDeleted: Bool { revokeReason == .deleted }
}

/// An API key that is to be stored.
package struct NewAPIKey: Sendable {
    /// Also the end of the alias.
    package var id: UUID
    /// Who owns it.
    package var userId: UUID
    /// The team it is booked to.
    package var teamId: UUID?
    /// The owner's name for it.
    package var name: String?
    /// SHA-256 of the secret in hexadecimal.
    package var hash: String
    /// The secret's first seven characters.
    package var prefix: String
    /// LiteLLM's name for it.
    package var alias: String
    /// Public model names; never empty.
    package var modelIds: [String]
    /// The owner's own data.
    package var metadata: JSONValue
    /// Ours only.
    package var tags: [String]
    /// Booleans such as `allowChatCompletions`.
    package var permissions: JSONValue
    /// What it may do and spend.
    package var limits: APIKeyLimits
    /// When it ends; nil for never.
    package var expiresAt: Date?
    /// The subscription that it is asked for by, as older clients do.
    package var subscriptionId: UUID?
    /// Operators' names for what it is part of; ours only.
    package var labels: [String] = []
    /// The job that creates it in LiteLLM.
    package var jobId: Int64

    /// A key without limits unless told otherwise.
    package init(
        id: UUID, userId: UUID, teamId: UUID?, name: String?, hash: String, prefix: String, alias: String,
        modelIds: [String], metadata: JSONValue = [:], tags: [String] = [], permissions: JSONValue = [:],
        limits: APIKeyLimits = APIKeyLimits(), expiresAt: Date? = nil, subscriptionId: UUID? = nil, jobId: Int64
    ) {
        self.id = id
        self.userId = userId
        self.teamId = teamId
        self.name = name
        self.hash = hash
        self.prefix = prefix
        self.alias = alias
        self.modelIds = modelIds
        self.metadata = metadata
        self.tags = tags
        self.permissions = permissions
        self.limits = limits
        self.expiresAt = expiresAt
        self.subscriptionId = subscriptionId
        self.jobId = jobId
    }
}

/// Which keys a list shows.
package struct APIKeyFilter: Sendable {
    /// Only this user's; nil for all.
    package var userId: UUID?
    /// Only these users'; nil for all.
    package var userIds: [UUID]?
    /// Only those that were asked for by this subscription.
    package var subscriptionId: UUID?
    /// Only keys for at least one of these models; empty for all.
    package var modelIds: [String] = []
    /// Only keys that bear all of these labels; empty for all.
    package var labels: [String] = []
    /// Only usable ones, or only others; nil for both.
    package var isActive: Bool?
    /// Whether deleted ones are shown too.
    package var includesDeleted = false
    /// Which page.
    package var page = PageRequest()

    /// All keys, first page.
    package init() {}
}

/// When create attempts for a key may still reach LiteLLM. All times by the database's clock.
package struct CreateWindow: Sendable, Equatable {
    /// The end of the last attempt's time limit; nil when none was ever made.
    package var deadline: Date?
    /// When this was read.
    package var now: Date

    /// A window, as a store reads it.
    package init(deadline: Date?, now: Date) {
        self.deadline = deadline
        self.now = now
    }

    /// Until when an attempt that is held up somewhere may still arrive, given `grace` after its time limit;
    /// nil when none can any more.
    package func lateArrivals(grace: Duration) -> Date? {
        guard let end = deadline?.addingTimeInterval(grace.inSeconds), end > now else { return nil }
        return end
    }
}
