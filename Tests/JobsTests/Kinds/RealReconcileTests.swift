import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// Comparing with the LiteLLM at `LITELLM_API_URL`, which others have changed by hand.
@Suite(
    "Comparing with a real LiteLLM", .needsDatabase, .hangGuard,
    .enabled(if: RealLiteLLM.settings != nil, "LITELLM_API_URL and LITELLM_API_KEY are not set"))
struct RealReconcileTests {
    /// The findings about these objects, as short words by object.
    private func findings(_ ids: [String], _ states: [DriftState], _ bench: KindBench) async throws -> [String: String]
    {
        var filter = DriftFilter()
        filter.states = states
        filter.page = PageRequest(number: 1, size: 5000)
        let all = try await PostgresDriftStore().list(filter, in: bench.database).items
        return Dictionary(
            all.filter { ids.contains($0.objectId) }.map { ($0.objectId, "\($0.kind.rawValue) \($0.field)") },
            uniquingKeysWith: { "\($0), \($1)" })
    }

    @Test("what was changed by hand is found, reported, and set right as the policy says")
    func byHand() async throws {
        try await RealBench.run { real in
            let bench = real.bench
            let user = try await real.addUser()
            var keys: [CreatedKey] = []
            for _ in 1...4 { keys.append(try await real.addLiveKey(user)) }
            let revocation = try #require(try await bench.revoke(keys[2]))
            try await bench.attempt(revocation.id)
            try await bench.finish(revocation.id)
            try await bench.database.query("delete from jobs")

            _ = try await real.litellm.deleteKey(hash: keys[0].key.hash)
            var change = LiteLLMKeyChange()
            change.rpmLimit = .set(3)
            try await real.litellm.updateKey(hash: keys[1].key.hash, change)
            try await real.litellm.unblockKey(hash: keys[2].key.hash)
            let stranger = try await real.addStranger()
            try await real.rename(user)

            let ids = [user.id.text, stranger] + keys.map(\.key.id.text)
            let expected = [
                keys[0].key.id.text: "missing ", keys[1].key.id.text: "differs rpmLimit",
                keys[2].key.id.text: "alive ", stranger: "foreign ", user.id.text: "differs fullName",
            ]
            let looked = try await bench.reconcile()
            #expect(looked.isComplete, "\(looked.doubts)")
            let reported = try await findings(ids, [.open], bench)
            #expect(reported == expected)

            let standard = try await bench.reconcile(dryRun: false)
            #expect(standard.revoked == 1 && standard.repaired == 0 && standard.failed == 0, "\(standard)")
            let refused = try await real.litellm.keyInfo(hash: keys[2].key.hash)
            #expect(refused?.status == .blocked)
            let untouched = try await real.litellm.keyInfo(hash: keys[1].key.hash)
            #expect(untouched?.rpmLimit == 3)

            try await bench.database.query("delete from jobs")
            var policy = ReconcilePolicy()
            policy.missing = .repair
            policy.differs = .repair
            let repaired = try await bench.reconcile(dryRun: false, policy)
            #expect(repaired.repaired == 3 && repaired.failed == 0, "\(repaired)")
            let left = try await findings(ids, [.open, .repairing], bench)
            #expect(left == [stranger: "foreign "])
            // Made again with its own secret.
            let back = try await real.litellm.keyInfo(hash: keys[0].key.hash)
            #expect(back?.status == .active)
            let limits = try await real.litellm.keyInfo(hash: keys[1].key.hash)
            #expect(limits?.rpmLimit == nil)
            let person = try await real.litellm.user(id: user.id.text)
            #expect(person?.alias == user.fullName)
            let theirs = try await real.litellm.keyInfo(hash: stranger)
            #expect(theirs?.status == .active && theirs?.marker == nil)
        }
    }
}
