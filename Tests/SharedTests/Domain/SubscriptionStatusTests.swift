import Shared
import Testing

@Suite("Status of subscriptions")
struct SubscriptionStatusTests {
    /// Every move there is; nil is a person who has no subscription to the model yet.
    private static let table: [(SubscriptionTrigger, [SubscriptionStatus?], SubscriptionStatus)] = [
        (.request(needsApproval: false), [nil, .inactive, .expired, .cancelled], .active),
        (.request(needsApproval: true), [nil, .inactive, .expired, .cancelled], .pending),
        (.approve, [.pending], .active),
        (.deny, [.pending, .active, .suspended], .denied),
        (.requestReview, [.denied], .pending),
        (.revert(to: .active), [.pending, .suspended, .denied], .active),
        (.revert(to: .denied), [.pending, .active, .suspended], .denied),
        (.revert(to: .pending), [.active, .suspended, .denied], .pending),
        (.cancel, [.pending, .active, .suspended], .inactive),
        (.suspend, [.active], .suspended),
        (.resume, [.suspended], .active),
        (.expire, [.pending, .active, .suspended], .expired),
        (.exhaustQuota, [.active], .suspended),
        (.restrict, [.active, .suspended], .pending),
        (.liftRestriction(to: .active), [.pending], .active),
        (.liftRestriction(to: .suspended), [.pending], .suspended),
        (.retire, [.pending, .active, .suspended], .inactive),
        (.assign, [nil, .pending, .suspended, .denied, .inactive, .expired, .cancelled], .active),
    ]

    @Test("moves as the table says, and not otherwise")
    func exhaustive() {
        let statuses = [nil] + SubscriptionStatus.allCases.map(Optional.some)
        var moves = 0
        for trigger in SubscriptionTrigger.all {
            let rows = Self.table.filter { $0.0 == trigger }
            #expect(rows.count == 1, "\(trigger)")
            for status in statuses {
                let target = rows.first { $0.1.contains(status) }?.2
                #expect(trigger.target(from: status) == target, "\(trigger) from \(String(describing: status))")
                moves += target == nil ? 0 : 1
            }
        }
        #expect(Self.table.count == SubscriptionTrigger.all.count)
        #expect(moves == Self.table.map(\.1.count).reduce(0, +))
    }

    @Test("nothing but a request or an administrator leads out of denied, and nobody approves what is over")
    func guarded() {
        let ways = SubscriptionTrigger.all.filter { $0.target(from: .denied) != nil }
        #expect(
            Set(ways) == [.requestReview, .revert(to: .active), .revert(to: .pending), .assign])
        for status in [SubscriptionStatus.inactive, .expired, .cancelled] {
            let ways = SubscriptionTrigger.all.filter { $0.target(from: status) == .active }
            #expect(Set(ways) == [.request(needsApproval: false), .assign])
        }
    }

    @Test("a trigger names the statuses that it makes something of")
    func sources() {
        #expect(SubscriptionTrigger.approve.sources == [.pending])
        #expect(SubscriptionTrigger.cancel.sources == [.pending, .active, .suspended])
    }
}
