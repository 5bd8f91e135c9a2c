/// How a person's right to one model stands. Only `active` lets their keys name the model.
package enum SubscriptionStatus: String, Sendable, Codable, CaseIterable, PostgresDecodable {
    /// Waits for an administrator.
    case pending
    /// The person may use the model.
    case active
    /// Taken away for a while.
    case suspended
    /// An administrator said no.
    case denied
    /// Given up, or its model is gone.
    case inactive
    /// Its time is over.
    case expired
    /// Given up, as older versions spell it.
    case cancelled
}

/// What moves a subscription.
package enum SubscriptionTrigger: Sendable, Hashable {
    /// Somebody subscribes, for the first time or again.
    case request(needsApproval: Bool)
    /// An administrator says yes.
    case approve
    /// An administrator says no.
    case deny
    /// The person asks for another look after a no.
    case requestReview
    /// An administrator takes a decision back.
    case revert(to: Reversion)
    /// The person gives it up.
    case cancel
    /// The owner or an administrator takes it away for a while.
    case suspend
    /// Whoever may, or a new quota, gives it back.
    case resume
    /// Its time is over.
    case expire
    /// Its quota is used up.
    case exhaustQuota
    /// Its model needs an approval from now on.
    case restrict
    /// Its model no longer does: it stands again as it stood before.
    case liftRestriction(to: Restoration)
    /// Its model is gone.
    case retire
    /// An administrator gives it.
    case assign

    /// What a decision can be taken back to.
    package enum Reversion: String, Sendable, CaseIterable {
        case active, denied, pending
    }

    /// What stands behind a restriction.
    package enum Restoration: String, Sendable, CaseIterable {
        case active, suspended
    }
}

extension SubscriptionTrigger {
    /// The whole state machine: what this trigger makes of a subscription in `status`, nil being none yet. Nil where
    /// it makes nothing of it.
    package func target(from status: SubscriptionStatus?) -> SubscriptionStatus? {
        switch (self, status) {
        case (.request(let needsApproval), nil), (.request(let needsApproval), .inactive),
            (.request(let needsApproval), .expired), (.request(let needsApproval), .cancelled):
            needsApproval ? .pending : .active
        case (.approve, .pending): .active
        case (.deny, .pending), (.deny, .active), (.deny, .suspended): .denied
        case (.requestReview, .denied): .pending
        case (.revert(let target), .pending), (.revert(let target), .active), (.revert(let target), .suspended),
            (.revert(let target), .denied):
            target.status == status ? nil : target.status
        case (.cancel, .pending), (.cancel, .active), (.cancel, .suspended): .inactive
        case (.suspend, .active), (.exhaustQuota, .active): .suspended
        case (.resume, .suspended): .active
        case (.expire, .pending), (.expire, .active), (.expire, .suspended): .expired
        case (.restrict, .active), (.restrict, .suspended): .pending
        case (.liftRestriction(let target), .pending): target.status
        case (.retire, .pending), (.retire, .active), (.retire, .suspended): .inactive
        case (.assign, .active): nil
        case (.assign, _): .active
        default: nil
        }
    }

    /// Every trigger.
    package static let all: [SubscriptionTrigger] =
        [
            .request(needsApproval: false), .request(needsApproval: true), .approve, .deny, .requestReview, .cancel,
            .suspend, .resume, .expire, .exhaustQuota, .restrict, .retire, .assign,
        ] + Reversion.allCases.map { .revert(to: $0) } + Restoration.allCases.map { .liftRestriction(to: $0) }

    /// The statuses that this trigger makes something of.
    package var sources: [SubscriptionStatus] { SubscriptionStatus.allCases.filter { target(from: $0) != nil } }
}

extension SubscriptionTrigger.Reversion {
    /// The status of the same name.
    package var status: SubscriptionStatus {
        switch self {
        case .active: .active
        case .denied: .denied
        case .pending: .pending
        }
    }
}

extension SubscriptionTrigger.Restoration {
    var status: SubscriptionStatus { self == .active ? .active : .suspended }
}

/// What brought a subscription where it is; stored.
package enum SubscriptionCause: String, Sendable, CaseIterable {
    case request
    case approval
    case denial
    case review
    case revert
    case cancellation
    /// The owner suspended or resumed it.
    case owner
    /// An administrator suspended or resumed it.
    case administrator
    case assignment
    case expiry
    case quota
    /// The use starts anew, or the quota was raised.
    case quotaReset = "quota_reset"
    case restriction
    case restrictionLifted = "restriction_lifted"
    case retirement
    /// Made for keys that are older than subscriptions.
    case backfill

    /// What only administrators do: the newest of these says what they think of the person and the model.
    package static let decisions: [SubscriptionCause] = [.approval, .denial, .revert, .administrator, .assignment]
}
