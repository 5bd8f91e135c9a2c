import Foundation
import Shared
import TestSupport
import Testing

@Suite(.needsDatabase) struct APIKeyStoreTests {
    private let keys = PostgresAPIKeyStore()

    @Test func keepsEveryField() async throws {
        try await withTestDatabase { test in
            try await test.models("a", "b")
            let user = try await test.user("alice")
            let expiry = Date(timeIntervalSince1970: 4_000_000_000)
            let stored = try await test.key(user, models: ["a", "b"]) { new in
                new.metadata = ["x": [1, 2.5, nil]]
                new.tags = ["t", "ü"]
                new.permissions = ["allowEmbeddings": false]
                new.limits = APIKeyLimits(
                    spending: SpendingLimits(
                        maxBudget: Decimal(string: "12.3456"), budgetDuration: "monthly", tpmLimit: 1, rpmLimit: 2),
                    softBudget: 3, maxParallelRequests: 4, modelMaxBudget: ["a": ["budgetLimit": 1]],
                    modelRpmLimit: ["a": 5], modelTpmLimit: ["b": 6])
                new.expiresAt = expiry
            }
            let found = try #require(try await keys.find(stored.id, in: test.client))
            #expect(found == stored)
            #expect(found.modelIds == ["a", "b"])
            #expect(found.metadata == ["x": [1, 2.5, nil]])
            #expect(found.tags == ["t", "ü"])
            #expect(found.limits.spending.maxBudget == Decimal(string: "12.3456"))
            #expect(found.limits.modelTpmLimit == ["b": 6])
            #expect(found.expiresAt == expiry)
            #expect(found.sync == SyncState(status: .pending, lastJobId: 1))
            #expect(found.warnings.isEmpty)
            #expect(try await keys.find(hash: stored.hash, in: test.client) == stored)
            #expect(try await keys.find(UUID(), in: test.client) == nil)
            #expect(try await keys.find(hash: "0", in: test.client) == nil)
        }
    }

    @Test func listsWhatTheFilterLetsThrough() async throws {
        try await withTestDatabase { test in
            try await test.models("a", "b")
            let alice = try await test.user("alice")
            let bob = try await test.user("bob")
            let first = try await test.key(alice)
            let second = try await test.key(alice, models: ["b"])
            let third = try await test.key(alice, models: ["a", "b"]) { $0.expiresAt = Date() - 60 }
            let foreign = try await test.key(bob)
            try await test.client.query("update api_keys set is_active = false where id = \(first.id)")

            func list(_ change: (inout APIKeyFilter) -> Void) async throws -> Page<APIKey> {
                var filter = APIKeyFilter()
                change(&filter)
                return try await keys.list(filter, in: test.client)
            }
            #expect(try await list { _ in }.total == 4)
            let mine = try await list { $0.userId = alice.id }
            #expect(mine.items.map(\.id) == [third.id, second.id, first.id])
            #expect(mine.total == 3)
            #expect(try await list { $0.userId = bob.id }.items.map(\.id) == [foreign.id])
            #expect(try await list { $0.isActive = true }.items.map(\.id) == [foreign.id, second.id])
            #expect(try await list { $0.isActive = false }.items.map(\.id) == [third.id, first.id])
            #expect(try await list { $0.modelIds = ["b"] }.items.map(\.id) == [third.id, second.id])
            #expect(try await list { $0.modelIds = ["b", "a"] }.total == 4)
            #expect(try await list { $0.modelIds = ["none"] }.total == 0)

            let page = try await list { $0.page = PageRequest(number: 2, size: 3) }
            #expect(page.items.map(\.id) == [first.id])
            #expect(page.total == 4)
            let past = try await list { $0.page = PageRequest(number: 9, size: 3) }
            #expect(past.items.isEmpty)
            #expect(past.total == 4)

            try await test.client.query("update api_keys set revoke_reason = 'deleted' where id = \(first.id)")
            #expect(try await list { _ in }.total == 3)
            #expect(try await list { $0.includesDeleted = true }.total == 4)
        }
    }

    @Test func versionsOnlyGrow() async throws {
        try await withTestDatabase { test in
            try await test.models("a")
            let key = try await test.key(try await test.user("alice"))
            func mark(_ version: Int64) async throws -> SyncState? {
                try await test.client.withTransaction { transaction in
                    try await keys.markSynced(key.id, version: version, warnings: [], jobId: 7, in: transaction)
                }
                return try await keys.find(key.id, in: test.client)?.sync
            }
            try await test.client.query("update api_keys set version_wanted = 3")
            #expect(try await mark(2) == SyncState(status: .pending, versionWanted: 3, versionApplied: 2, lastJobId: 7))
            #expect(try await mark(3) == SyncState(status: .synced, versionWanted: 3, versionApplied: 3, lastJobId: 7))
            #expect(try await mark(1)?.versionApplied == 3)
            #expect(try await mark(1)?.status == .synced)
        }
    }

    @Test func onlyTheLastJobMarksAFailure() async throws {
        try await withTestDatabase { test in
            try await test.models("a")
            let key = try await test.key(try await test.user("alice")) { $0.jobId = 5 }
            func fail(_ jobId: Int64) async throws -> SyncState? {
                let error = SyncError(errorClass: "permanent", code: "no", message: "No.")
                try await test.client.withTransaction { transaction in
                    try await keys.markFailed(key.id, error: error, jobId: jobId, in: transaction)
                }
                return try await keys.find(key.id, in: test.client)?.sync
            }
            #expect(try await fail(4)?.status == .pending)
            let failed = try #require(try await fail(5))
            #expect(failed.status == .failed)
            #expect(failed.error?.code == "no")
            #expect(failed.error?.errorClass == "permanent")
            #expect(failed.error?.message == "No.")
            #expect(failed.error?.at.map { abs($0.timeIntervalSinceNow) < 3600 } == true)
            try await test.client.withTransaction { try await keys.expectSync(key.id, by: 6, in: $0) }
            let again = try #require(try await keys.find(key.id, in: test.client)?.sync)
            #expect(again.status == .pending)
            #expect(again.error == nil)
            try await test.client.withTransaction { transaction in
                try await keys.markSynced(key.id, version: 1, warnings: [], jobId: 6, in: transaction)
            }
            #expect(try await fail(6)?.status == .synced)
        }
    }

    @Test func aCreateBeginsOnlyWhileTheKeyIsWanted() async throws {
        try await withTestDatabase { test in
            try await test.models("a")
            let key = try await test.key(try await test.user("alice"))
            func begin(_ time: Duration) async throws -> Date? {
                try await test.client.withTransaction { try await keys.beginCreate(key.id, within: time, in: $0) }
            }
            #expect(try await keys.createWindow(key.id, in: test.client)?.deadline == nil)
            let now = try #require(try await begin(.seconds(100)))
            let window = try #require(try await keys.createWindow(key.id, in: test.client))
            let deadline = try #require(window.deadline)
            #expect(abs(deadline.timeIntervalSince(now) - 100) < 1)
            // A shorter one does not take back what an earlier attempt may still do.
            _ = try await begin(.seconds(1))
            #expect(try await keys.createWindow(key.id, in: test.client)?.deadline == deadline)

            try await test.client.withTransaction { transaction in
                try await keys.requestRevoke(key.id, reason: .revoked, jobId: 9, in: transaction)
            }
            #expect(try await begin(.seconds(1000)) == nil)
            #expect(try await keys.createWindow(key.id, in: test.client)?.deadline == deadline)
        }
    }

    @Test func factsOfARevocationNeedTheWish() async throws {
        try await withTestDatabase { test in
            try await test.models("a")
            let key = try await test.key(try await test.user("alice"))
            func mark() async throws -> APIKey? {
                try await test.client.withTransaction { transaction in
                    try await keys.markRevoked(key.id, isGone: false, jobId: 3, in: transaction)
                    try await keys.markDeleted(key.id, in: transaction)
                }
                return try await keys.find(key.id, in: test.client)
            }
            #expect(try await mark()?.revokedAt == nil)
            try await test.client.withTransaction { transaction in
                try await keys.requestRevoke(key.id, reason: .revoked, jobId: 3, in: transaction)
            }
            let revoked = try #require(try await mark())
            #expect(revoked.revokedAt != nil)
            #expect(revoked.deletedAt != nil)
            #expect(revoked.sync.isSynced)
            #expect(try await mark()?.revokedAt == revoked.revokedAt)
        }
    }
}
