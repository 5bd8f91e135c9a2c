package import Foundation

/// How much somebody may use in a month.
package struct SubscriptionQuotas: Sendable, Equatable {
    /// What each quota may be.
    package static let range = 1...1_000_000_000_000
    /// What people may give themselves.
    package static let standard = SubscriptionQuotas(requests: 10_000, tokens: 1_000_000)

    /// Answered requests.
    package var requests: Int
    /// Tokens of questions and answers.
    package var tokens: Int

    package init(requests: Int, tokens: Int) {
        self.requests = requests
        self.tokens = tokens
    }
}

/// A person's right to one model.
package struct Subscription: Sendable, Equatable {
    package var id: UUID
    package var userId: UUID
    /// The public model name.
    package var modelId: String
    package var status: SubscriptionStatus
    /// What brought it there: see ``SubscriptionCause``.
    package var cause: String
    /// Why, in the words of whoever brought it there.
    package var reason: String?
    package var statusChangedAt: Date
    /// Nil for what no person did.
    package var statusChangedBy: UUID?
    package var quotas: SubscriptionQuotas
    /// Since the period began; never more exact than the daily figures.
    package var used: SubscriptionQuotas
    /// When the use was last counted; nil before the first time.
    package var usageTakenAt: Date?
    /// When the use starts anew: the first of a month, UTC.
    package var resetAt: Date
    package var expiresAt: Date?
    /// The owner's own data.
    package var metadata: JSONValue
    package var createdAt: Date
    package var updatedAt: Date

    /// Whether nothing is left of a quota.
    package var isExhausted: Bool { utilization >= 1 }

    /// The used part of the quota that is nearer to its end; 1 is all of it.
    package var utilization: Double { max(requestUtilization, tokenUtilization) }

    /// 1 is all of it.
    package var requestUtilization: Double { Self.part(used.requests, of: quotas.requests) }

    /// 1 is all of it.
    package var tokenUtilization: Double { Self.part(used.tokens, of: quotas.tokens) }

    /// Of a quota of nothing everything is used.
    private static func part(_ used: Int, of quota: Int) -> Double {
        quota > 0 ? Double(used) / Double(quota) : 1
    }
}

/// A move of a subscription, with who made it and why.
package struct SubscriptionMove: Sendable {
    package var status: SubscriptionStatus
    package var cause: SubscriptionCause
    package var reason: String?
    /// Nil for what no person did.
    package var changedBy: UUID?
    /// The job that made it; nil for a person's own request.
    package var jobId: Int64?

    package init(
        to status: SubscriptionStatus, cause: SubscriptionCause, reason: String? = nil, changedBy: UUID? = nil,
        jobId: Int64? = nil
    ) {
        self.status = status
        self.cause = cause
        self.reason = reason
        self.changedBy = changedBy
        self.jobId = jobId
    }
}

/// A move that was made.
package struct SubscriptionHistoryEntry: Sendable, Equatable {
    package var id: Int64
    package var subscriptionId: UUID
    /// Nil for the first.
    package var oldStatus: String?
    package var newStatus: String
    package var cause: String
    package var reason: String?
    /// Nil for what no person did.
    package var changedBy: UUID?
    package var changedAt: Date
}

/// Which subscriptions a list shows, newest first.
package struct SubscriptionFilter: Sendable {
    /// Empty for all.
    package var userIds: [UUID] = []
    /// Empty for all.
    package var modelIds: [String] = []
    /// Empty for all.
    package var statuses: [SubscriptionStatus] = []
    /// Leaves `inactive` ones out unless they are asked for.
    package var hidesInactive = false
    /// Not made before.
    package var from: Date?
    /// Made before.
    package var before: Date?
    package var page = PageRequest()

    /// All, first page.
    package init() {}
}

/// How many subscriptions somebody has.
package struct SubscriptionCounts: Sendable, Equatable {
    package var total: Int
    package var active: Int
    package var suspended: Int
}

/// Sums over somebody's subscriptions, or everybody's.
package struct SubscriptionStatistics: Sendable, Equatable {
    package var byStatus: [String: Int]
    package var byProvider: [String: Int]
    /// Of those that are not given up.
    package var used: SubscriptionQuotas
    package var quotas: SubscriptionQuotas

    package var total: Int { byStatus.values.reduce(0, +) }
}

/// What administrators have to do and did.
package struct SubscriptionRequestStatistics: Sendable, Equatable {
    package var pending: Int
    /// Active ones whose approval is of today, UTC.
    package var approvedToday: Int
    /// Denied ones whose denial is of today, UTC.
    package var deniedToday: Int
    package var total: Int
}

/// What goes with a subscription in answers.
package struct SubscriptionExtras: Sendable, Equatable {
    /// How far LiteLLM agrees with the owner's keys that name the model; `synced` when there are none.
    package var keySync: SyncStatus
    /// Spent on the model this month, UTC, as far as the daily figures tell.
    package var monthSpend: Decimal

    /// No keys, no use.
    package static let none = SubscriptionExtras(keySync: .synced, monthSpend: 0)
}
