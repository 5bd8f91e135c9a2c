import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("key.rotate and key.retire", .needsDatabase, .hangGuard)
struct KeyRotateTests {
    private func withKey(_ body: @Sendable (KindBench, User, CreatedKey) async throws -> Void) async throws {
        var settings = ProvisioningSettings()
        settings.maxActiveKeysPerUser = 1000
        try await KindBench.run(settings: settings) { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            try await body(bench, user, try await makeKey(bench, user))
        }
    }

    private func makeKey(_ bench: KindBench, _ user: User) async throws -> CreatedKey {
        let created = try await bench.addKey(user) { $0.limits.spending.maxBudget = 10 }
        try await bench.runAll()
        return created
    }

    private func isDead(_ hash: String, _ bench: KindBench) -> Bool {
        let key = bench.litellm.state.keys[hash]
        return key == nil || key?["blocked"] == true
    }

    private func letTheWindowPass(_ bench: KindBench) async throws {
        try await bench.database.query("update api_keys set create_deadline_at = now() - interval '1 hour'")
        try await bench.database.query("update api_key_hashes set create_deadline_at = now() - interval '1 hour'")
    }

    @Test("brings the new secret in, then takes the old one away; what was spent stays spent")
    func rotates() async throws {
        try await withKey { bench, _, created in
            let old = created.key.hash
            bench.litellm.change { $0.keys[old]?["spend"] = 4 }
            let rotated = try await bench.rotate(created)
            let new = APIKeySecret.hash(of: rotated.secret)
            #expect(rotated.prefix != "" && new != old)
            // Until LiteLLM has the new one, the old one is the key's own.
            #expect(try await bench.row(created).hash == old)
            let output = try #require(try await bench.attempt(rotated.job.id) as? KeyRotate.Output)
            #expect(output.outcome == "rotated")
            let stored = try #require(bench.litellm.state.keys[new])
            #expect(stored["spend"] == 4 && stored["max_budget"] == 10)
            #expect(stored["metadata", default: [:]]["db_key_id"] == .string(created.key.id.text))
            #expect(stored["key_alias"] != bench.litellm.state.keys[old]?["key_alias"])
            let row = try await bench.row(created)
            #expect(row.hash == new && row.prefix == rotated.prefix && row.rotatedAt != nil && row.sync.isSynced)
            #expect(!isDead(old, bench))
            try await bench.finish(rotated.job.id)
            try await letTheWindowPass(bench)
            try await bench.runAll()
            #expect(bench.litellm.state.keys[old] == nil && !isDead(new, bench))
            #expect(try await bench.keys.tokens(of: created.key.id, in: bench.database).map(\.role) == [.current])
            // The hash is remembered, for what was used with it.
            #expect(try await bench.keys.find(hash: old, in: bench.database)?.id == created.key.id)
        }
    }

    @Test("the old secret works until its grace is over, with the same rights as the new one")
    func grace() async throws {
        try await withKey { bench, user, created in
            let old = created.key.hash
            let rotated = try await bench.rotate(created, grace: .seconds(3600))
            try await bench.runAll()
            let new = APIKeySecret.hash(of: rotated.secret)
            #expect(!isDead(old, bench) && !isDead(new, bench))
            let retire = try #require(try await bench.jobs(KeyRetire.self).first)
            #expect(try await bench.services.queue.job(id: retire)?.state == .scheduled)
            _ = try await bench.change(created) { $0.tpmLimit = .set(6) }
            try await bench.setStatus("denied", of: user, model: "gpt")
            try await bench.runAll()
            #expect(isDead(old, bench) && isDead(new, bench))
            #expect(bench.litellm.state.keys[old]?["tpm_limit"] == 6)
            try await bench.setStatus("active", of: user, model: "gpt")
            try await bench.runAll()
            #expect(!isDead(old, bench) && !isDead(new, bench))
            try await bench.database.query("update api_key_hashes set retire_at = now() where role = 'old'")
            _ = try await bench.attempt(retire)
            try await bench.finish(retire)
            try await bench.setStatus("active", of: user, model: "gpt")
            try await bench.runAll()
            #expect(isDead(old, bench) && !isDead(new, bench))
        }
    }

    @Test("rotating survives death between any two steps: one new key, never none")
    func deaths() async throws {
        try await withKey { bench, user, _ in
            try await bench.everyDeath(atLeast: 3) {
                let created = try await makeKey(bench, user)
                bench.litellm.change { $0.calls = [] }
                let rotated = try await bench.rotate(created)
                return ((created, rotated), rotated.job.id)
            } check: { scene, death in
                let (created, rotated) = scene
                let new = APIKeySecret.hash(of: rotated.secret)
                let row = try await bench.row(created)
                #expect(row.hash == new && !isDead(new, bench), "\(death)")
                let ours = bench.litellm.state.keys.values.filter {
                    $0["metadata"]?["db_key_id"] == .string(created.key.id.text)
                }
                #expect(ours.count == 2, "\(death)")
                let retirements = try await bench.jobs(KeyRetire.self)
                #expect(retirements.count == 1, "\(death)")
            }
        }
    }

    @Test("retiring survives death between any two steps")
    func retirementDeaths() async throws {
        try await withKey { bench, user, _ in
            try await bench.everyDeath(atLeast: 3) {
                let created = try await makeKey(bench, user)
                let rotated = try await bench.rotate(created)
                try await bench.attempt(rotated.job.id)
                try await bench.finish(rotated.job.id)
                try await letTheWindowPass(bench)
                bench.litellm.change { $0.calls = [] }
                let retirements = try await bench.jobs(KeyRetire.self)
                return (created, try #require(retirements.first))
            } check: { created, death in
                #expect(bench.litellm.state.keys[created.key.hash] == nil, "\(death)")
                #expect(bench.litellm.state.deletedKeys[created.key.hash] != nil, "\(death)")
            }
        }
    }

    @Test("a rotation that ends without success leaves the key as it was and refuses the new secret, late or not")
    func givenUp() async throws {
        try await withKey { bench, _, created in
            let rotated = try await bench.rotate(created)
            let new = APIKeySecret.hash(of: rotated.secret)
            bench.litellm.fail("/key/generate", .held)
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(rotated.job.id) }
            try await bench.end(rotated.job.id, as: .failed)
            #expect(try await bench.row(created).hash == created.key.hash)
            try await bench.runAll()
            // A blocked key stands where the late create would put a live one.
            #expect(bench.litellm.state.keys[new]?["blocked"] == true)
            bench.litellm.deliverHeld()
            #expect(isDead(new, bench) && !isDead(created.key.hash, bench))
            let retirement = try #require(try await bench.jobs(KeyRetire.self).first)
            let context = try await bench.claim(retirement)
            let failure = await #expect(throws: JobFailure.self) {
                try await KeyRotate(keyId: created.key.id, hash: new, graceSeconds: 0).run(in: context)
            }
            #expect(failure?.info.code == "rotation_over")
            let again = try await bench.rotate(created)
            try await bench.runAll()
            #expect(try await bench.row(created).hash == APIKeySecret.hash(of: again.secret))
        }
    }

    @Test("a revocation takes every secret, the one being rotated in too")
    func revoked() async throws {
        try await withKey { bench, _, created in
            _ = try await bench.rotate(created, grace: .seconds(3600))
            try await bench.runAll()
            let third = try await bench.rotate(created)
            bench.litellm.fail("/key/generate", .held)
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(third.job.id) }
            let job = try #require(try await bench.revoke(created))
            _ = try await bench.attempt(job.id)
            try await bench.finish(job.id)
            bench.litellm.deliverHeld()
            #expect(bench.litellm.state.keys.count == 3)
            #expect(bench.litellm.state.keys.keys.allSatisfy { isDead($0, bench) })
            try await letTheWindowPass(bench)
            let deletion = try #require(try await bench.jobs(KeyDelete.self).first)
            _ = try await bench.attempt(deletion)
            #expect(bench.litellm.state.keys.isEmpty)
            let secrets = try await bench.database.query("select count(*) from sealed_secrets").one(Int.self)
            #expect(secrets == 0)
        }
    }

    @Test("two secrets live at once at most, however long the grace")
    func twoAtOnce() async throws {
        try await withKey { bench, _, created in
            for _ in 1...3 {
                _ = try await bench.rotate(created, grace: .seconds(3600))
                try await bench.runAll()
                // What the engine does with those that are due.
                try await bench.database.query("update jobs set state = 0 where state = 2 and run_at <= now()")
                try await bench.runAll()
            }
            let live = bench.litellm.state.keys.keys.filter { !isDead($0, bench) }
            #expect(live.count == 2)
        }
    }

    @Test("is refused while the key is being made or rotated, and when it is revoked or expired")
    func refused() async throws {
        try await withKey { bench, user, created in
            let fresh = try await bench.addKey(user)
            _ = try await bench.rotate(created)
            for key in [fresh, created] {
                let error = await #expect(throws: ProvisioningError.self) { try await bench.rotate(key) }
                #expect(error?.code == .keyUnfinished)
            }
            try await bench.runAll()
            try await bench.database.query("update api_keys set expires_at = now() - interval '1 minute'")
            let error = await #expect(throws: ProvisioningError.self) { try await bench.rotate(created) }
            #expect(error?.code == .keyInactive)
        }
    }

    @Test("fifty requests at once: one rotation")
    func race() async throws {
        try await withKey { bench, _, created in
            let won = await withTaskGroup(of: Bool.self) { group in
                for _ in 1...50 {
                    group.addTask {
                        do {
                            _ = try await bench.rotate(created)
                            return true
                        } catch { return false }
                    }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(won == 1)
        }
    }
}
