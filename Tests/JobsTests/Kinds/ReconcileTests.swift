import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Comparing LiteLLM with our rows", .needsDatabase, .hangGuard)
struct ReconcileTests {
    static let everything: ReconcilePolicy = {
        var policy = ReconcilePolicy()
        policy.missing = .repair
        policy.differs = .repair
        policy.unknown = .revoke
        return policy
    }()

    @Test("nothing is found where nothing differs")
    func clean() async throws {
        try await KindBench.run { bench in
            _ = try await DriftScene(bench)
            let output = try await bench.reconcile(dryRun: false, Self.everything)
            #expect(output.isComplete && output.doubts.isEmpty && output.failed == 0)
            #expect(output.counts["key"]?["read"] == 5 && output.counts["user"]?["read"] == 2)
            let findings = try await bench.findings(.open, .repairing)
            #expect(findings == [])
        }
    }

    @Test("every kind of difference is found, and a dry run changes nothing")
    func reports() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            scene.spoil(bench.litellm)
            bench.litellm.change { $0.calls = [] }
            let before = bench.litellm.state.keys
            let output = try await bench.reconcile()
            let findings = try await bench.findings(.open)
            #expect(findings == DriftScene.findings)
            #expect(output.counts["key"]?["missing"] == 1 && output.counts["key"]?["differs"] == 2)
            #expect(bench.callsThatChange() == [] && bench.litellm.state.keys == before)
            let differing = try await bench.finding(.user, .differs)
            #expect(differing.wanted == "Bob" && differing.found == "Mallory")
            // Again: the same findings last, instead of new ones.
            _ = try await bench.reconcile()
            let again = try await bench.findings(.open)
            #expect(again == DriftScene.findings)
        }
    }

    @Test("only what works and must not is refused when no policy says otherwise")
    func standard() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            scene.spoil(bench.litellm)
            let output = try await bench.reconcile(dryRun: false)
            #expect(output.revoked == 1 && output.repaired == 0 && output.failed == 0)
            #expect(bench.litellm.state.keys[scene.revoked.key.hash]?["blocked"] == true)
            let left = try await bench.findings(.open)
            #expect(left == DriftScene.findings.filter { $0 != "key alive" })
            let done = try await bench.findings(.revoked)
            #expect(done == ["key alive"])
            #expect(bench.litellm.state.keys[scene.keys[1].key.hash]?["max_budget"] == 99)
        }
    }

    @Test("what can be set right is, read back, and strangers are left alone")
    func repairs() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            scene.spoil(bench.litellm)
            let output = try await bench.reconcile(dryRun: false, Self.everything)
            #expect(output.failed == 0 && output.revoked == 2, "\(output)")
            let left = try await bench.findings(.open, .repairing)
            #expect(left == ["key foreign", "team foreign", "user foreign"])
            let state = bench.litellm.state
            // Its secret was kept still, so that the key could be made again.
            #expect(state.keys[scene.keys[0].key.hash]?["key_alias"]?.stringValue == scene.keys[0].key.alias)
            #expect(state.keys[scene.keys[1].key.hash]?["max_budget"] == nil)
            #expect(state.keys[scene.keys[2].key.hash]?["models"] == ["gpt"])
            #expect(state.keys[DriftScene.hash(1)]?["blocked"] == true)
            #expect(state.keys[DriftScene.hash(2)]?["blocked"] == nil)
            #expect(state.users[scene.other.id.text]?["user_alias"] == "Bob")
            #expect(state.teams[scene.team.id.text]?["rpm_limit"] == nil)
            for key in scene.keys.prefix(4) {
                let row = try await bench.row(key)
                #expect(row.sync.isSynced)
            }
            // The unknown key is deleted later.
            let deletion = try #require(try await bench.jobs(OrphanRevoke.self).first)
            try await bench.attempt(deletion)
            #expect(bench.litellm.state.keys[DriftScene.hash(1)] == nil)
        }
    }

    @Test("a key that LiteLLM lost, and whose secret is gone, says so, and rotating gives one that works")
    func lost() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            let key = scene.keys[0]
            bench.litellm.change { $0.keys[key.key.hash] = nil }
            // Long after its creation, when no create can arrive any more.
            try await bench.database.query("delete from sealed_secrets")
            try await bench.database.query("update api_keys set create_deadline_at = now() - interval '1 day'")
            let output = try await bench.reconcile(dryRun: false, Self.everything)
            #expect(output.failed == 1 && output.repaired == 0)
            let row = try await bench.row(key)
            #expect(row.sync.status == .failed && row.sync.error?.code == "key_lost")
            // It is still so, and is found again.
            _ = try await bench.reconcile()
            let findings = try await bench.findings(.open)
            #expect(findings == ["key missing"])

            let rotated = try await bench.database.withTransaction { transaction in
                try await bench.provisioning.rotate(key.key.id, by: bench.actor, in: transaction)
            }
            try await bench.runAll()
            let now = try await bench.row(key)
            #expect(now.sync.isSynced && now.hash == APIKeySecret.hash(of: rotated.secret))
            #expect(bench.litellm.state.keys[now.hash]?["blocked"] != true)
            try await bench.database.query("delete from jobs")
            _ = try await bench.reconcile()
            let left = try await bench.findings(.open, .repairing)
            #expect(left == [])
        }
    }

    @Test("a user and a team that are missing are made again")
    func missingPeople() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            bench.litellm.change { state in
                state.users[scene.other.id.text] = nil
                state.teams[scene.team.id.text] = nil
            }
            let output = try await bench.reconcile(dryRun: false, Self.everything)
            #expect(output.repaired == 2 && output.failed == 0)
            #expect(bench.litellm.state.users[scene.other.id.text] != nil)
            #expect(bench.litellm.state.teams[scene.team.id.text] != nil)
        }
    }

    @Test("too many strangers keep findings about strangers of that type only from closing")
    func strangers() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            let stranger = DriftScene.hash(1)
            bench.litellm.change { state in
                state.keys[stranger] = DriftScene.key(1, marker: false)
                state.keys[scene.keys[1].key.hash]?["max_budget"] = 99
                state.users["somebody"] = ["user_id": "somebody", "user_email": "some@body.com"]
            }
            _ = try await bench.reconcile()
            let before = try await bench.findings(.open)
            #expect(before == ["key differs maxBudget", "key foreign", "user foreign"])
            bench.litellm.change { state in
                state.keys[stranger] = nil
                state.keys[scene.keys[1].key.hash]?["max_budget"] = nil
                state.users["somebody"] = nil
                for number in 2...(ReconciliationWalk.strangerLimit + 2) {
                    state.keys[DriftScene.hash(number)] = DriftScene.key(number, marker: false)
                }
            }
            let output = try await bench.reconcile()
            #expect(output.counts["key"]?["foreign"] == .int(ReconciliationWalk.strangerLimit + 1))
            let gone = try await bench.findings(.gone)
            #expect(gone == ["key differs maxBudget", "user foreign"])
            // It may be one of those that were left out.
            let left = try await bench.database.query(
                "select state from drift_findings where object_id = \(stranger)"
            ).one(String.self)
            #expect(left == "open")
        }
    }

    @Test("no policy repairs an object of which something is ignored")
    func ignored() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            let hash = scene.keys[1].key.hash
            bench.litellm.change { $0.keys[hash]?["max_budget"] = 99 }
            _ = try await bench.reconcile()
            let budget = try await bench.finding(.key, .differs)
            try await bench.database.withTransaction { transaction in
                _ = try await ReconciliationRequests(queue: bench.services.queue).ignore(
                    budget.id, reason: nil, by: bench.actor, in: transaction)
            }
            bench.litellm.change { $0.keys[hash]?["rpm_limit"] = 3 }
            let output = try await bench.reconcile(dryRun: false, Self.everything)
            #expect(output.repaired == 0 && output.failed == 0)
            let (open, ignored) = (try await bench.findings(.open), try await bench.findings(.ignored))
            #expect(open == ["key differs rpmLimit"] && ignored == ["key differs maxBudget"])
            #expect(bench.litellm.state.keys[hash]?["max_budget"] == 99)
        }
    }

    @Test("a finding that no longer holds is closed, and one that was ignored is not acted on")
    func closes() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            scene.spoil(bench.litellm)
            _ = try await bench.reconcile()
            let requests = ReconciliationRequests(queue: bench.services.queue)
            let team = try await bench.finding(.team, .differs)
            try await bench.database.withTransaction { transaction in
                _ = try await requests.ignore(team.id, reason: "known", by: bench.actor, in: transaction)
            }
            bench.litellm.change { $0.users[scene.other.id.text]?["user_alias"] = "Bob" }
            let output = try await bench.reconcile(dryRun: false, Self.everything)
            #expect(output.failed == 0)
            let gone = try await bench.findings(.gone)
            #expect(gone == ["user differs fullName"])
            let ignored = try await bench.findings(.ignored)
            #expect(ignored == ["team differs rpmLimit"])
            #expect(bench.litellm.state.teams[scene.team.id.text]?["rpm_limit"] == 3)
        }
    }
}
