import Foundation
import Shared

/// Why a change of a subscription was refused before anything was stored. Safe to show to whoever asked.
package struct SubscriptionError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds of refusal.
    package enum Code: Sendable {
        /// There is none, or it is not theirs.
        case notFound
        /// There is no such model.
        case modelNotFound
        /// There is no such user.
        case userNotFound
        /// The model cannot be used.
        case modelUnavailable
        /// The person has one for the model.
        case exists
        /// Its status does not allow this.
        case wrongStatus
        /// It needs a permission that the caller lacks.
        case beyondOwner
        /// Nobody decides about their own.
        case own
        /// A value cannot be used.
        case invalid
    }

    /// The kind of refusal.
    package let code: Code
    /// One sentence, or two.
    package let message: String
    /// The field that is to blame, in the API's spelling.
    package let field: String?

    init(_ code: Code, _ message: String, field: String? = nil) {
        self.code = code
        self.message = message
        self.field = field
    }

    /// The message.
    package var description: String { message }
}

extension SubscriptionError {
    static let notFound = SubscriptionError(.notFound, "There is no such subscription.")

    /// Names the status and what would be possible.
    static func refused(_ trigger: SubscriptionTrigger, _ status: SubscriptionStatus) -> SubscriptionError {
        let allowed = trigger.sources.map(\.rawValue)
        let possible =
            allowed.count > 1
            ? allowed.dropLast().joined(separator: ", ") + " or " + (allowed.last ?? "") : allowed.first ?? "no"
        return SubscriptionError(
            .wrongStatus,
            "The subscription is \(status.rawValue) and cannot be \(trigger.participle); only one that is \(possible) can.",
            field: "status")
    }

    static func beyondOwner(_ field: String, _ message: String) -> SubscriptionError {
        SubscriptionError(.beyondOwner, "\(message) Ask an administrator.", field: field)
    }

    static func own(_ participle: String) -> SubscriptionError {
        SubscriptionError(
            .own, "Nobody has their own subscription \(participle) by themselves; ask another administrator.",
            field: "subscription")
    }
}

extension SubscriptionTrigger {
    /// As in "cannot be …".
    var participle: String {
        switch self {
        case .request: "asked for again"
        case .approve: "approved"
        case .deny: "denied"
        case .requestReview: "reviewed"
        case .revert(let target): "reverted to \(target.rawValue)"
        case .cancel: "cancelled"
        case .suspend, .exhaustQuota: "suspended"
        case .resume: "resumed"
        case .expire: "ended by time"
        case .restrict: "restricted"
        case .liftRestriction: "freed of a restriction"
        case .retire: "retired"
        case .assign: "assigned"
        }
    }
}
