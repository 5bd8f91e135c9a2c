package import Foundation

/// What every key of a batch is to be like.
package struct KeyBatchTemplate: Codable, Sendable, Equatable {
    /// The keys' names, in which `{n}`, `{username}` and `{email}` stand for the number and the person.
    package var keyName: String
    /// Public model names, sorted; at least one.
    package var modelIds: [String]
    /// The team they are booked to; nil for the default team.
    package var teamId: UUID?
    /// Dollars.
    package var maxBudget: Decimal?
    /// Dollars at which LiteLLM only warns.
    package var softBudget: Decimal?
    /// As the client wrote it.
    package var budgetDuration: String?
    /// Tokens a minute.
    package var tpmLimit: Int?
    /// Requests a minute.
    package var rpmLimit: Int?
    /// Requests in flight at once.
    package var maxParallelRequests: Int?
    /// When they end; nil for never, or for ``duration``.
    package var expiresAt: Date?
    /// How long they last, counted from the request, as the client wrote it.
    package var duration: String?
    /// Their owners' own data.
    package var metadata: JSONValue?

    /// Keys without limits.
    package init(keyName: String, modelIds: [String]) {
        self.keyName = keyName
        self.modelIds = Set(modelIds).sorted()
    }

    /// What they may spend.
    package var limits: APIKeyLimits {
        APIKeyLimits(
            spending: SpendingLimits(
                maxBudget: maxBudget, budgetDuration: budgetDuration, tpmLimit: tpmLimit, rpmLimit: rpmLimit),
            softBudget: softBudget, maxParallelRequests: maxParallelRequests)
    }

    /// The name of one of its keys.
    package func name(number: Int, username: String, email: String) -> String {
        keyName.replacing("{n}", with: String(number)).replacing("{username}", with: username)
            .replacing("{email}", with: email)
    }
}

/// What people who are made for a batch may do and spend.
package struct KeyBatchNewcomers: Codable, Sendable, Equatable {
    /// Who vouches for them until they sign in.
    package var provider: String
    /// Names of roles.
    package var roles: [String]
    /// Dollars.
    package var maxBudget: Decimal?
    /// As the operator wrote it.
    package var budgetDuration: String?
    /// Tokens a minute.
    package var tpmLimit: Int?
    /// Requests a minute.
    package var rpmLimit: Int?

    /// People with these roles and limits.
    package init(provider: String, roles: [Role], limits: SpendingLimits) {
        self.provider = provider
        self.roles = roles.map(\.rawValue)
        maxBudget = limits.maxBudget
        budgetDuration = limits.budgetDuration
        tpmLimit = limits.tpmLimit
        rpmLimit = limits.rpmLimit
    }

    /// One of them.
    package func user(username: String, email: String, fullName: String?) -> NewUser {
        NewUser(
            id: UUID(), username: username, email: email, fullName: fullName, oauthProvider: provider,
            oauthId: email.lowercased(), roles: roles.compactMap(Role.init(spelling:)), roleSource: .grant,
            limits: SpendingLimits(
                maxBudget: maxBudget, budgetDuration: budgetDuration, tpmLimit: tpmLimit, rpmLimit: rpmLimit))
    }
}

/// Many keys that somebody asked for at once.
package struct KeyBatch: Sendable, Equatable {
    package var id: UUID
    /// The client's name for it.
    package var name: String
    /// As jobs name whoever asked.
    package var requester: String
    /// The name of whoever asked.
    package var requesterName: String
    /// Who asked; nil for a program.
    package var requestedBy: UUID?
    /// Who made the program's token.
    package var personBehind: UUID?
    /// What the keys are like.
    package var template: KeyBatchTemplate
    /// When they end; nil for never.
    package var expiresAt: Date?
    /// By which they are found again.
    package var labels: [String]
    /// Whether people are subscribed to the models first.
    package var subscribes: Bool
    /// What people who are made for it may do and spend.
    package var newcomers: KeyBatchNewcomers
    /// A digest of for whom the keys are.
    package var peopleDigest: String
    /// Keys.
    package var total: Int
    /// The job that makes them.
    package var jobId: Int64?
    /// Until then secrets of keys that LiteLLM has are kept for whoever asked; nil where none is.
    package var resultsUntil: Date?
    /// When somebody stopped it.
    package var cancelledAt: Date?
    package var createdAt: Date
}

/// A batch that is to be stored.
package struct NewKeyBatch: Sendable {
    package var id: UUID
    package var name: String
    package var requester: String
    package var requesterName: String
    package var requestedBy: UUID?
    package var personBehind: UUID?
    package var template: KeyBatchTemplate
    package var expiresAt: Date?
    package var labels: [String]
    package var subscribes: Bool
    package var newcomers: KeyBatchNewcomers
    package var peopleDigest: String
    package var items: [Item]

    /// One of its keys.
    package struct Item: Sendable {
        /// Nil for a person who is to be made.
        package var userId: UUID?
        package var username: String
        package var email: String
        package var fullName: String?
        package var keyName: String

        /// A key for somebody.
        package init(userId: UUID?, username: String, email: String, fullName: String?, keyName: String) {
            self.userId = userId
            self.username = username
            self.email = email
            self.fullName = fullName
            self.keyName = keyName
        }
    }

    /// A batch of `requester`.
    package init(
        id: UUID, name: String, requester: String, requesterName: String, requestedBy: UUID?, personBehind: UUID?,
        template: KeyBatchTemplate, expiresAt: Date?, labels: [String], subscribes: Bool,
        newcomers: KeyBatchNewcomers, peopleDigest: String, items: [Item]
    ) {
        self.id = id
        self.name = name
        self.requester = requester
        self.requesterName = requesterName
        self.requestedBy = requestedBy
        self.personBehind = personBehind
        self.template = template
        self.expiresAt = expiresAt
        self.labels = labels
        self.subscribes = subscribes
        self.newcomers = newcomers
        self.peopleDigest = peopleDigest
        self.items = items
    }
}

/// How far one key of a batch is.
package enum KeyBatchItemStatus: String, Sendable, CaseIterable, PostgresDecodable, PostgresEncodable {
    /// The worker has not come to it.
    case waiting
    /// It is on its way into LiteLLM.
    case creating
    /// LiteLLM was read back and has it.
    case ready
    /// It was given up; the error says why.
    case failed
    /// Refused here, not yet in LiteLLM.
    case revoking
    /// LiteLLM was read back and refuses it.
    case revoked
    /// Its time is over.
    case expired
    /// The batch was stopped before it came to it.
    case cancelled
}

/// One key of a batch.
package struct KeyBatchItem: Sendable, Equatable {
    /// From 1.
    package var ordinal: Int
    /// Nil for a person who is not made yet.
    package var userId: UUID?
    package var username: String
    package var email: String
    package var fullName: String?
    package var keyName: String
    package var keyId: UUID?
    package var status: KeyBatchItemStatus
    /// Why it failed.
    package var error: KeyBatchError?
    /// The job that last acted, or is to act, on the key.
    package var jobId: Int64?
    /// Of the key, once there is one.
    package var key: Key?

    /// What a result shows of the key besides.
    package struct Key: Sendable, Equatable {
        /// Of its current secret.
        package var hash: String
        package var prefix: String
        package var alias: String
        package var expiresAt: Date?
    }
}

/// Why a key of a batch was not made. Safe to show to whoever asked.
package struct KeyBatchError: Codable, Sendable, Equatable {
    /// A stable code.
    package var code: String
    /// One sentence.
    package var message: String
    /// The job that was given up with it; nil where the key itself was refused.
    package var jobId: Int64?

    /// An error.
    package init(code: String, message: String, jobId: Int64? = nil) {
        self.code = code
        self.message = message
        self.jobId = jobId
    }
}

/// How many keys of a batch are how far.
package struct KeyBatchCounts: Sendable, Equatable {
    private var counts: [KeyBatchItemStatus: Int]

    package init(_ counts: [KeyBatchItemStatus: Int] = [:]) { self.counts = counts }

    package subscript(_ status: KeyBatchItemStatus) -> Int { counts[status] ?? 0 }

    /// Of the batch as a whole: `running`, `completed`, `partial`, `failed` or `cancelled`.
    package func state(of batch: KeyBatch) -> String {
        if batch.cancelledAt != nil { return "cancelled" }
        if self[.waiting] + self[.creating] > 0 { return "running" }
        guard self[.failed] > 0 else { return "completed" }
        return self[.failed] == batch.total ? "failed" : "partial"
    }
}
