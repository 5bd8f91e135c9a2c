import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("What is not believed of LiteLLM", .needsDatabase, .hangGuard)
struct ReconcileDoubtTests {
    /// Ways in which a list is not what it seems.
    enum Trouble: String, CaseIterable, Sendable {
        case emptyKeys, shrunkKeys, emptyUsers, outage400, outage401, outage404, shrinkingTotal

        func apply(_ litellm: FakeLiteLLM) {
            switch self {
            case .emptyKeys: litellm.change { $0.keys = [:] }
            case .shrunkKeys:
                litellm.change { state in
                    for hash in state.keys.keys.sorted().dropFirst() { state.keys[hash] = nil }
                }
            case .emptyUsers: litellm.change { $0.users = [:] }
            case .outage400: refuse(litellm, 400)
            case .outage401: refuse(litellm, 401)
            case .outage404: refuse(litellm, 404)
            case .shrinkingTotal:
                // Each time a first page of two, and a second one that knows of fewer.
                for _ in 1...3 {
                    litellm.fail("/user/list", .answer(200, Self.users(total: 9, pages: 2)))
                    litellm.fail("/user/list", .answer(200, Self.users(total: 8, pages: 2)))
                }
            }
        }

        private func refuse(_ litellm: FakeLiteLLM, _ status: Int) {
            for _ in 1...20 {
                litellm.fail(
                    "/user/list", .answer(status, ["error": ["message": "Can't reach database server", "code": "x"]]))
            }
        }

        private static func users(total: Int, pages: Int) -> JSONValue {
            ["users": [["user_id": "u1"]], "total": .int(total), "page": 1, "total_pages": .int(pages)]
        }
    }

    @Test("nothing is done, found or closed by a list that is not believed", arguments: Trouble.allCases)
    func doubts(_ trouble: Trouble) async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            bench.litellm.change { $0.teams[scene.team.id.text]?["rpm_limit"] = 3 }
            _ = try await bench.reconcile()
            let before = try await bench.findings(.open)
            #expect(before == ["team differs rpmLimit"])
            // Would be closed, and others found, were the lists believed.
            bench.litellm.change { state in
                state.teams[scene.team.id.text]?["rpm_limit"] = nil
                state.keys[scene.revoked.key.hash]?["blocked"] = false
            }
            trouble.apply(bench.litellm)
            bench.litellm.change { $0.calls = [] }
            do {
                let output = try await bench.reconcile(dryRun: false, ReconcileTests.everything)
                #expect(!output.isComplete && !output.doubts.isEmpty && output.revoked == 0)
                let entries = try await PostgresAuditStore().entries(
                    resourceType: "reconciliation", resourceId: String(output.reconciliationId), limit: 10,
                    in: bench.database)
                #expect(entries.map(\.action) == ["RECONCILE_DOUBTED"])
            } catch let error as LiteLLMError {
                // What may pass is tried again, with nothing done.
                #expect(error.kind == .retryable)
            }
            #expect(bench.callsThatChange() == [])
            let after = try await bench.findings(.open)
            #expect(after == before)
        }
    }

    @Test("more unknown keys than we have are not revoked, but reported")
    func otherInstallation() async throws {
        try await KindBench.run { bench in
            _ = try await DriftScene(bench)
            let strangers = 1...(ReconciliationWalk.unknownKeyFloor + 1)
            bench.litellm.change { state in
                for number in strangers { state.keys[DriftScene.hash(number)] = DriftScene.key(number, marker: true) }
                state.calls = []
            }
            let output = try await bench.reconcile(dryRun: false, ReconcileTests.everything)
            #expect(!output.isComplete && output.revoked == 0)
            #expect(output.doubts.count == 1 && output.doubts[0].contains("another installation"), "\(output.doubts)")
            #expect(bench.callsThatChange() == [])
            // Nothing is to be revoked: they are what was found.
            let looked = try await bench.reconcile()
            #expect(looked.isComplete && looked.counts["key"]?["unknown"] == .int(strangers.count))
            // As many as are believed.
            bench.litellm.change { $0.keys[DriftScene.hash(1)] = nil }
            let few = try await bench.reconcile(dryRun: false, ReconcileTests.everything)
            #expect(few.isComplete && few.revoked == ReconciliationWalk.unknownKeyFloor)
        }
    }

    @Test("a key made while the list is read is no orphan, and one revoked meanwhile is not missing")
    func races() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            // LiteLLM lost it, but somebody has revoked it since and the job is on its way.
            bench.litellm.change { $0.keys[scene.keys[0].key.hash] = nil }
            let revocation = try await bench.revoke(scene.keys[0])
            #expect(revocation != nil)
            // Made by a create that is still on its way to be noted.
            let created = try await bench.addKey(scene.user)
            try await bench.attempt(created.job.id)
            try await bench.database.query(
                "update api_keys set sync_status = 'pending', version_applied = 0 where id = \(created.key.id)")
            let output = try await bench.reconcile(dryRun: false, ReconcileTests.everything)
            #expect(output.isComplete && output.failed == 0)
            let findings = try await bench.findings(.open, .repairing)
            #expect(findings == [])
        }
    }

    @Test("a difference that a job is about to set right is none, and its finding stays as it is")
    func busy() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            bench.litellm.change { $0.keys[scene.keys[1].key.hash]?["max_budget"] = 99 }
            _ = try await bench.reconcile()
            let update = try await bench.services.queue.enqueue(KeyUpdate(keyId: scene.keys[1].key.id))
            let output = try await bench.reconcile(dryRun: false, ReconcileTests.everything)
            #expect(output.counts["key"]?["skipped"] == 1 && output.counts["key"]?["differs"] == 0)
            let open = try await bench.findings(.open, .repairing)
            #expect(open == ["key differs maxBudget"])
            try await bench.attempt(update.id)
        }
    }

    @Test("two requests at once share one job")
    func one() async throws {
        try await KindBench.run { bench in
            let requests = ReconciliationRequests(queue: bench.services.queue)
            let ids = try await withThrowingTaskGroup(of: Int64.self) { tasks in
                for _ in 1...4 {
                    tasks.addTask {
                        try await bench.database.withTransaction { transaction in
                            try await requests.reconcile(
                                scope: nil, dryRun: true, policy: ReconcilePolicy(), by: bench.actor, in: transaction
                            ).id
                        }
                    }
                }
                return try await tasks.reduce(into: Set<Int64>()) { $0.insert($1) }
            }
            #expect(ids.count == 1)
            let other = try await bench.database.withTransaction { transaction in
                try await requests.reconcile(
                    scope: [.keys], dryRun: true, policy: ReconcilePolicy(), by: bench.actor, in: transaction
                ).id
            }
            #expect(!ids.contains(other))
        }
    }
}
