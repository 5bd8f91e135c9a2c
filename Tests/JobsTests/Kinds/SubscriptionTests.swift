import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Subscriptions", .needsDatabase, .hangGuard)
struct SubscriptionTests {
    /// A user with a subscription to `gpt` and a key for it; no job is left.
    private func setUp(_ bench: KindBench) async throws -> (user: User, Subscription, key: CreatedKey) {
        try await bench.addModel("gpt")
        let user = try await bench.addUser(isSynced: true)
        let subscription = try await bench.subscribe(user, to: "gpt")
        let key = try await bench.addKey(user)
        try await bench.runAll()
        return (user, subscription, key)
    }

    @Test("an open model is active at once, a restricted one waits; no job is needed for either")
    func requests() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            try await bench.addModel("secret")
            try await bench.restrict("secret")
            let user = try await bench.addUser(isSynced: true)
            let open = try await bench.subscribe(user, to: "gpt")
            let restricted = try await bench.subscribe(user, to: "secret") { $0.quotaTokens = 5 }
            #expect(open.status == .active && open.quotas == .standard && open.metadata == [:])
            #expect(restricted.status == .pending && restricted.quotas.tokens == 5)
            #expect(try await bench.path(open) == ["active:request"])
            #expect(try await bench.actions(open) == ["SUBSCRIPTION_CREATE"])
            #expect(try await bench.jobs(KeyAccess.self).isEmpty)
            let month = Calendar(identifier: .gregorian).dateComponents(in: .gmt, from: open.resetAt)
            #expect(month.day == 1 && month.hour == 0 && open.resetAt > Date())
            #expect(try await bench.refusal { try await bench.subscribe(user, to: "gpt") } == .exists)
            #expect(try await bench.refusal { try await bench.subscribe(user, to: "secret") } == .exists)
            #expect(try await bench.refusal { try await bench.subscribe(user, to: "none") } == .modelNotFound)
            let wide = try await bench.refusal {
                try await bench.subscribe(try await bench.addUser("bob"), to: "gpt") { $0.quotaRequests = 10_001 }
            }
            #expect(wide == .beyondOwner)
        }
    }

    @Test("every change to or from active has a job for each key that names the model, and for no other")
    func keysFollow() async throws {
        try await KindBench.run { bench in
            let (user, subscription, key) = try await setUp(bench)
            try await bench.addModel("other")
            _ = try await bench.addKey(user) { $0.modelIds = ["other"] }
            try await bench.runAll()
            let denied = try await bench.decide(.deny, subscription)
            #expect(denied.keyJobs.map(\.keyId) == [key.key.id])
            #expect(try await bench.jobs(KeyAccess.self) == denied.keyJobs.map(\.job.id))
            try await bench.runAll()
            let review = try await bench.database.withTransaction {
                try await bench.subscriptions.requestReview(subscription.id, by: bench.owner(user), in: $0)
            }
            #expect(review.subscription.status == .pending && review.keyJobs.isEmpty)
            let approved = try await bench.decide(.approve, subscription)
            #expect(approved.keyJobs.map(\.keyId) == [key.key.id])
            #expect(
                try await bench.path(subscription) == [
                    "active:request", "denied:denial", "pending:review", "active:approval",
                ])
            let row = try await bench.row(subscription)
            #expect(row.reason == "because" && row.statusChangedBy == User.systemId)
            let audit = try await PostgresAuditStore().entries(
                resourceType: "subscription", resourceId: subscription.id.text, limit: 1, in: bench.database)
            #expect(audit.first?.action == "SUBSCRIPTION_APPROVED" && audit.first?.jobId == approved.keyJobs[0].job.id)
            #expect(audit.first?.oldValues?["status"] == "pending" && audit.first?.newValues?["status"] == "active")
        }
    }

    @Test("what was given up comes back as it was; who was refused waits for an administrator")
    func revival() async throws {
        try await KindBench.run { bench in
            let (user, subscription, _) = try await setUp(bench)
            func cancel() async throws {
                _ = try await bench.database.withTransaction {
                    try await bench.subscriptions.cancel(subscription.id, by: bench.owner(user), in: $0)
                }
            }
            _ = try await bench.update(subscription, by: bench.owner(user)) { $0.quotaRequests = 50 }
            try await cancel()
            #expect(try await bench.refusal { try await cancel() } == .wrongStatus)
            let wide = try await bench.refusal { try await bench.subscribe(user, to: "gpt") { $0.quotaRequests = 51 } }
            #expect(wide == .beyondOwner)
            let back = try await bench.subscribe(user, to: "gpt")
            #expect(back.id == subscription.id && back.status == .active && back.quotas.requests == 50)

            // An administrator's suspension is not ended by giving up and asking again.
            _ = try await bench.database.withTransaction {
                try await bench.subscriptions.suspend(subscription.id, reason: nil, by: bench.administrator, in: $0)
            }
            try await cancel()
            #expect(try await bench.subscribe(user, to: "gpt").status == .pending)
            _ = try await bench.decide(.approve, subscription)
            // Nor is an approval of the past good for a model that is restricted since.
            try await cancel()
            try await bench.restrict("gpt")
            #expect(try await bench.subscribe(user, to: "gpt").status == .pending)
            _ = try await bench.decide(.deny, subscription)
            #expect(try await bench.refusal { try await bench.subscribe(user, to: "gpt") } == .exists)
            #expect(try await bench.refusal { try await cancel() } == .wrongStatus)
        }
    }

    @Test("owners lower and shorten; the rest is refused with the field, for an administrator's own too")
    func ownersChanges() async throws {
        try await KindBench.run { bench in
            let (user, subscription, _) = try await setUp(bench)
            let own = SubscriptionCaller(
                actor: AuditActor(userId: user.id, name: user.username), isAdministrator: true)
            // Whole seconds: the database keeps no more than microseconds.
            let soon = Date(timeIntervalSince1970: (Date().timeIntervalSince1970 + 3600).rounded())
            for caller in [bench.owner(user), own] {
                let changed = try await bench.update(subscription, by: caller) {
                    $0.quotaTokens = 900
                    $0.metadata = .set(["note": "x"])
                    $0.expiresAt = .set(soon)
                }
                #expect(changed.subscription.quotas.tokens == 900 && changed.subscription.metadata["note"] == "x")
                let changes: [(String, @Sendable (inout SubscriptionChange) -> Void)] = [
                    ("quotaTokens", { $0.quotaTokens = 901 }), ("quotaRequests", { $0.quotaRequests = 10_001 }),
                    ("expiresAt", { $0.expiresAt = .clear }),
                    ("expiresAt", { $0.expiresAt = .set(soon.addingTimeInterval(60)) }),
                    ("status", { $0.status = .suspended }),
                ]
                for (field, change) in changes {
                    let error = await #expect(throws: SubscriptionError.self) {
                        _ = try await bench.update(subscription, by: caller, change)
                    }
                    #expect(error?.code == .beyondOwner && error?.field == field)
                }
                for decision in [SubscriptionDecision.approve, .deny] {
                    let refusal = try await bench.refusal {
                        _ = try await bench.decide(decision, subscription, by: own)
                    }
                    #expect(refusal == .own)
                }
            }
            let past = try await bench.refusal {
                _ = try await bench.update(subscription, by: bench.owner(user)) { $0.expiresAt = .set(Date()) }
            }
            #expect(past == .invalid)
            let wide = try await bench.update(subscription, by: bench.administrator) {
                $0.quotaTokens = 5_000_000
                $0.expiresAt = .clear
            }
            #expect(wide.subscription.quotas.tokens == 5_000_000 && wide.subscription.expiresAt == nil)
            let other = try await bench.addUser("mallory")
            let missing = try await bench.refusal {
                _ = try await bench.update(subscription, by: bench.owner(other)) { $0.metadata = .clear }
            }
            #expect(missing == .notFound)
        }
    }

    @Test("owners end only their own suspensions")
    func suspensions() async throws {
        try await KindBench.run { bench in
            let (user, subscription, _) = try await setUp(bench)
            func suspend(_ caller: SubscriptionCaller) async throws {
                _ = try await bench.database.withTransaction {
                    try await bench.subscriptions.suspend(subscription.id, reason: nil, by: caller, in: $0)
                }
            }
            func resume(_ caller: SubscriptionCaller) async throws {
                _ = try await bench.database.withTransaction {
                    try await bench.subscriptions.resume(subscription.id, reason: nil, by: caller, in: $0)
                }
            }
            try await suspend(bench.owner(user))
            try await resume(bench.owner(user))
            try await suspend(bench.administrator)
            #expect(try await bench.refusal { try await resume(bench.owner(user)) } == .beyondOwner)
            try await resume(bench.administrator)
            #expect(try await bench.refusal { try await resume(bench.administrator) } == .wrongStatus)
            #expect(
                try await bench.path(subscription) == [
                    "active:request", "suspended:owner", "active:owner", "suspended:administrator",
                    "active:administrator",
                ])
        }
    }

    @Test("an administrator gives models to others, takes decisions back, and deletes")
    func administration() async throws {
        try await KindBench.run { bench in
            let (user, subscription, key) = try await setUp(bench)
            try await bench.addModel("new")
            _ = try await bench.decide(.deny, subscription)
            let assigned = try await bench.database.withTransaction {
                try await bench.subscriptions.assign(
                    ["gpt", "new", "new"], to: user.id, by: bench.administrator, in: $0)
            }
            #expect(assigned.created.map(\.modelId) == ["new"] && assigned.alreadyActive.isEmpty)
            #expect(assigned.activated.map(\.before) == [.denied])
            #expect(assigned.keyJobs.map(\.keyId) == [key.key.id])
            let again = try await bench.database.withTransaction {
                try await bench.subscriptions.assign(["gpt", "new"], to: user.id, by: bench.administrator, in: $0)
            }
            #expect(again.alreadyActive == ["gpt", "new"] && again.keyJobs.isEmpty)
            let own = SubscriptionCaller(
                actor: AuditActor(userId: user.id, name: user.username), isAdministrator: true)
            for refusal in [
                try await bench.refusal {
                    _ = try await bench.database.withTransaction {
                        try await bench.subscriptions.assign(["gpt"], to: user.id, by: own, in: $0)
                    }
                },
                try await bench.refusal {
                    _ = try await bench.database.withTransaction {
                        try await bench.subscriptions.revert(
                            subscription.id, to: .pending, reason: nil, by: own, in: $0)
                    }
                },
                try await bench.refusal {
                    _ = try await bench.database.withTransaction {
                        try await bench.subscriptions.delete(subscription.id, reason: nil, by: own, in: $0)
                    }
                },
            ] { #expect(refusal == .own) }
            let reverted = try await bench.database.withTransaction {
                try await bench.subscriptions.revert(
                    subscription.id, to: .pending, reason: "wait", by: bench.administrator, in: $0)
            }
            #expect(reverted.subscription.status == .pending && reverted.keyJobs.count == 1)
            let deleted = try await bench.database.withTransaction {
                try await bench.subscriptions.delete(
                    assigned.created[0].id, reason: "gone", by: bench.administrator, in: $0)
            }
            #expect(try await bench.subscriptionStore.find(deleted.subscription.id, in: bench.database) == nil)
            #expect(try await bench.actions(deleted.subscription).last == "SUBSCRIPTION_DELETED_BY_ADMIN")
        }
    }
}
