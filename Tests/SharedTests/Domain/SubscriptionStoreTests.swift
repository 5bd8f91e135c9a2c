import Foundation
import Shared
import TestSupport
import Testing

@Suite("Store of subscriptions", .needsDatabase, .hangGuard)
struct SubscriptionStoreTests {
    private let store = PostgresSubscriptionStore()

    private func insert(
        _ database: TestDatabase, _ user: User, _ model: String, _ status: SubscriptionStatus = .active
    ) async throws -> Subscription {
        try #require(
            try await database.client.withTransaction {
                try await store.insert(
                    userId: user.id, modelId: model, quotas: SubscriptionQuotas(requests: 10, tokens: 20),
                    expiresAt: nil, metadata: ["a": 1], SubscriptionMove(to: status, cause: .request), in: $0)
            })
    }

    @Test("a person has one subscription to a model; each move is a row and its entry")
    func moves() async throws {
        try await withTestDatabase { database in
            let user = try await database.user("alice")
            try await database.models("a", "b")
            let first = try await insert(database, user, "a")
            #expect(first.metadata == ["a": 1] && first.quotas.tokens == 20 && first.used.tokens == 0)
            let second = try await database.client.withTransaction {
                try await store.insert(
                    userId: user.id, modelId: "a", quotas: .standard, expiresAt: nil, metadata: [:],
                    SubscriptionMove(to: .active, cause: .request), in: $0)
            }
            #expect(second == nil)
            let other = try await insert(database, user, "b", .pending)
            let ids = [first.id, other.id]
            let moved = try await database.client.withTransaction {
                try await store.move(
                    ids, SubscriptionMove(to: .inactive, cause: .retirement, reason: "gone", jobId: 7), in: $0)
            }
            #expect(moved.map(\.status) == [.inactive, .inactive] && moved.map(\.reason) == ["gone", "gone"])
            let history = try await store.history(of: ids, limit: 10, in: database.client)
            #expect(history.count == 4)
            #expect(history.first { $0.subscriptionId == other.id }?.oldStatus == "pending")
            #expect(history.filter { $0.oldStatus == nil }.count == 2)
            #expect(try await store.countMoved(by: 7, modelId: "a", in: database.client) == 1)
            try await database.client.withTransaction { try await store.delete(first.id, in: $0) }
            #expect(try await store.history(of: [first.id], limit: 10, in: database.client).isEmpty)
        }
    }

    @Test("lists are filtered and hide what was given up; sums leave it out")
    func lists() async throws {
        try await withTestDatabase { database in
            let alice = try await database.user("alice")
            let bob = try await database.user("bob")
            try await database.models("a", "b", "c")
            _ = try await insert(database, alice, "a")
            _ = try await insert(database, alice, "b", .pending)
            _ = try await insert(database, alice, "c", .inactive)
            _ = try await insert(database, bob, "a", .suspended)
            func models(_ change: (inout SubscriptionFilter) -> Void) async throws -> [String] {
                var filter = SubscriptionFilter()
                change(&filter)
                let page = try await store.list(filter, in: database.client)
                #expect(page.total == page.items.count)
                return page.items.map(\.modelId).sorted()
            }
            #expect(try await models { $0.userIds = [alice.id] } == ["a", "b", "c"])
            #expect(
                try await models {
                    $0.userIds = [alice.id]
                    $0.hidesInactive = true
                } == ["a", "b"])
            #expect(
                try await models {
                    $0.statuses = [.inactive, .suspended]
                    $0.hidesInactive = true
                } == ["a", "c"])
            #expect(try await models { $0.modelIds = ["a"] } == ["a", "a"])
            #expect(try await models { $0.from = Date(timeIntervalSinceNow: 3600) }.isEmpty)
            #expect(try await models { $0.before = Date(timeIntervalSinceNow: -3600) }.isEmpty)

            let counts = try await store.counts(ofUser: alice.id, in: database.client)
            #expect(counts.total == 3 && counts.active == 1 && counts.suspended == 0)
            let sums = try await store.statistics(ofUser: alice.id, in: database.client)
            #expect(sums.total == 3 && sums.byStatus == ["active": 1, "pending": 1, "inactive": 1])
            #expect(sums.byProvider == ["openai": 3] && sums.quotas == SubscriptionQuotas(requests: 20, tokens: 40))
            #expect(try await store.statistics(ofUser: nil, in: database.client).total == 4)
            let requests = try await store.requestStatistics(in: database.client)
            #expect(requests.pending == 1 && requests.total == 4 && requests.approvedToday == 0)
        }
    }

    @Test("the state of the keys that name the model goes with it, and what the month has cost")
    func extras() async throws {
        try await withTestDatabase { database in
            let alice = try await database.user("alice")
            try await database.models("a", "b")
            let first = try await insert(database, alice, "a")
            let second = try await insert(database, alice, "b")
            #expect(
                try await store.extras(of: [first.id, second.id], in: database.client) == [
                    first.id: .none, second.id: .none,
                ])
            let key = try await database.key(alice, models: ["a"])
            #expect(try await store.extras(of: [first.id], in: database.client)[first.id]?.keySync == .pending)
            try await database.client.query("update api_keys set sync_status = 'failed' where id = \(key.id)")
            let extras = try await store.extras(of: [first.id, second.id], in: database.client)
            #expect(extras[first.id]?.keySync == .failed && extras[second.id]?.keySync == .synced)
        }
    }
}
