package import Foundation
package import Shared

/// Looks at a person's user in LiteLLM and the other one with their address, and reports what a decision would change.
/// Changes nothing.
package struct UserRealignPreview: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The decision that is looked at.
        package var action: RealignAction
        /// The person's user; nil while LiteLLM does not have it.
        package var ours: Side?
        /// The other user; nil when it is gone.
        package var foreign: Side?
        /// What would change, the users first.
        package var changes: [Change]
        /// How many keys would go over, also those that `changes` no longer names.
        package var movedKeys: Int
        /// Aliases or hashes of keys that we made for somebody else, which stay; the first hundred.
        package var keptKeys: [String]
    }

    /// A user of LiteLLM's.
    package struct Side: Codable, Sendable, Equatable {
        /// Its id there.
        package var litellmUserId: String
        /// Its address.
        package var email: String?
        /// Its display name.
        package var alias: String?
        /// `internal_user`, `proxy_admin`, ...
        package var role: String?
        /// Dollars in the current budget period.
        package var spend: Decimal
        /// Dollars; nil for no limit.
        package var maxBudget: Decimal?
    }

    /// One field of one object.
    package struct Change: Codable, Sendable, Equatable {
        /// `user` or `key`.
        package var object: String
        /// LiteLLM's id of it.
        package var id: String
        /// For people.
        package var name: String?
        /// `email` or `userId`.
        package var field: String
        /// What it is now; nil when there is no such object yet.
        package var from: String?
        /// What it would be.
        package var to: String
    }

    package static let name = "user.realignPreview"
    package static let upstream: Upstream? = .litellmAdmin
    package static let isProbeSafe = true
    /// Objects that a report names.
    private static let named = 100

    /// The user's row.
    package let userId: UUID
    /// LiteLLM's other user.
    package let litellmUserId: String
    /// The decision.
    package let action: RealignAction

    package init(userId: UUID, litellmUserId: String, action: RealignAction) {
        self.userId = userId
        self.litellmUserId = litellmUserId
        self.action = action
    }

    package func run(in context: JobContext) async throws -> Output {
        let sides = try await RealignSides.read(userId, litellmUserId, context)
        let adopts = action == .adopt
        return Output(
            action: action, ours: sides.ours.map(Side.init), foreign: sides.foreign.map(Side.init),
            changes: adopts ? adoption(sides) : [address(of: sides, separately: true)],
            movedKeys: adopts ? sides.movable.count : 0,
            keptKeys: (adopts ? sides.kept : sides.kept + sides.movable).prefix(Self.named).map { $0.alias ?? $0.hash })
    }

    private func adoption(_ sides: RealignSides) -> [Change] {
        var changes: [Change] = []
        if let foreign = sides.foreign, sides.foreignHasEmail {
            changes.append(
                Change(
                    object: "user", id: foreign.id, name: foreign.alias, field: "email", from: foreign.email,
                    to: sides.foreignEmail))
        }
        changes.append(address(of: sides, separately: false))
        changes += sides.movable.prefix(Self.named).map {
            Change(
                object: "key", id: $0.hash, name: $0.alias, field: "userId", from: litellmUserId, to: userId.text)
        }
        return changes
    }

    private func address(of sides: RealignSides, separately: Bool) -> Change {
        var user = sides.user
        user.hasSeparateEmail = separately
        return Change(
            object: "user", id: userId.text, name: user.fullName ?? user.username, field: "email",
            from: sides.ours?.email, to: user.litellmEmail)
    }
}

extension UserRealignPreview.Side {
    fileprivate init(_ user: LiteLLMUser) {
        self.init(
            litellmUserId: user.id, email: user.email, alias: user.alias, role: user.role, spend: user.spend,
            maxBudget: user.maxBudget)
    }
}
