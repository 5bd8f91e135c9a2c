package import Foundation

/// Sums of some part of usage, and how many people they are of.
package struct UsageShare<Part: Sendable & Equatable>: Sendable, Equatable {
    /// What the sums are of.
    package var part: Part
    /// The sums.
    package var totals: UsageTotals
    /// Our users in it.
    package var users: Int
}

/// A model at a provider.
package struct UsageModel: Sendable, Equatable {
    /// The public model name.
    package var id: String
    /// What we call it.
    package var name: String
    /// Such as `openai`; `unknown` where LiteLLM does not say.
    package var provider: String
}

/// A user whose keys were used.
package struct UsageUser: Sendable, Equatable {
    package var id: UUID
    package var username: String
    package var email: String
    /// As stored; nil for one who has none.
    package var role: String?
}

/// A key of ours that was used, by any of its secrets.
package struct UsageKey: Sendable, Equatable {
    package var id: UUID
    /// Its present name in LiteLLM.
    package var alias: String
    package var user: UsageUser
}

/// Everything that one look at usage shows.
package struct UsageAnalytics: Sendable, Equatable {
    /// A model on a day.
    package struct ModelDay: Sendable, Equatable {
        /// The day, in UTC.
        package var day: UTCDay
        /// The models used on it, the most expensive first; none on a day without use.
        package var models: [UsageShare<UsageModel>]
        /// The sums.
        package var totals: UsageTotals
    }

    /// The sums.
    package var totals = UsageTotals.zero
    /// People whose keys were used.
    package var activeUsers = 0
    /// People there are, whether they used something or not.
    package var registeredUsers = 0
    /// The most expensive first, as in the other lists.
    package var providers: [UsageShare<String>] = []
    package var models: [UsageShare<UsageModel>] = []
    /// At most `userLimit`.
    package var users: [UsageShare<UsageUser>] = []
    /// What belongs to users beyond that many.
    package var otherUsers = UsageTotals.zero
    /// What was used by keys that are not ours, or without any.
    package var unattributed = UsageTotals.zero
    package var topKey: UsageShare<UsageKey>?
    /// Days that were taken, in order, those without use included.
    package var days: [ModelDay] = []
    package var freshness = UsageFreshness()
    /// As many days before.
    package var previousTotals = UsageTotals.zero
    package var previousActiveUsers = 0
    package var previousFreshness = UsageFreshness()

    /// Users of whom the sums are listed.
    package static let userLimit = 1000
}

/// The order of a breakdown. Equal ones are in the order of their names.
package struct UsageOrder: Sendable {
    /// What decides.
    package enum Key: String, Sendable, CaseIterable {
        case name
        case requests
        case totalTokens
        case promptTokens
        case completionTokens
        case cost
        case users
        case models
        case successRate
    }

    package var key: Key
    package var isDescending: Bool

    /// The most tokens first unless told otherwise.
    package init(_ key: Key = .totalTokens, isDescending: Bool = true) {
        self.key = key
        self.isDescending = isDescending
    }
}

/// A page of a breakdown, and how far it can be relied on.
package struct UsagePage<Item: Sendable>: Sendable {
    package var items: [Item] = []
    /// How many there are on all pages.
    package var total = 0
    /// What no item of any page contains.
    package var unattributed = UsageTotals.zero
    package var freshness = UsageFreshness()
}

/// What one user used, in detail.
package struct UserUsage: Sendable, Equatable {
    /// A key and the last day of the range on which it was used.
    package struct Key: Sendable, Equatable {
        package var id: UUID
        package var alias: String
        package var totals: UsageTotals
        package var lastUsed: UTCDay?
    }

    package var user: UsageUser
    package var totals: UsageTotals
    /// The most tokens first.
    package var models: [UsageShare<UsageModel>] = []
    package var keys: [Key] = []
    /// The last day of the range on which a key of theirs was used.
    package var lastActive: UTCDay? { keys.compactMap(\.lastUsed).max() }
}

/// What one provider's models were used for.
package struct ProviderUsage: Sendable, Equatable {
    package var provider: String
    /// How many models.
    package var models: Int
    package var users: Int
    package var totals: UsageTotals
}

/// What a filter can be set to: only what was used in the range.
package struct UsageChoices: Sendable, Equatable {
    package var models: [UsageModel]
    package var users: [UsageUser]
    package var providers: [String]
    /// Whether there are more than are listed.
    package var isPartial: Bool
}
