import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite(.needsDatabase) struct KeyRevokeTests {
    /// A bench with a key that its owner has not used yet: in LiteLLM with `isCreated`.
    private func withKey(
        isCreated: Bool = true, settings: ProvisioningSettings = ProvisioningSettings(),
        _ body: @Sendable (KindBench, CreatedKey) async throws -> Void
    ) async throws {
        try await KindBench.run(settings: settings) { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            let created = try await bench.addKey(user)
            if isCreated { try await bench.runAll() }
            try await body(bench, created)
        }
    }

    /// Moves the end of the last create attempt so far back that none can arrive any more.
    private func letTheWindowPass(_ bench: KindBench) async throws {
        try await bench.database.query("update api_keys set create_deadline_at = now() - interval '1 hour'")
    }

    private func isDead(_ created: CreatedKey, _ bench: KindBench) -> Bool {
        let key = bench.litellm.state.keys[created.key.hash]
        return key == nil || key?["blocked"] == true
    }

    private func revokeOutput(_ value: any Sendable) throws -> KeyRevoke.Output {
        try #require(value as? KeyRevoke.Output)
    }

    @Test func blocksReadsBackAndDeletesLater() async throws {
        try await withKey { bench, created in
            #expect(!isDead(created, bench))
            let job = try #require(try await bench.revoke(created))
            let output = try revokeOutput(try await bench.attempt(job.id))
            #expect(output.state == "blocked")
            #expect(bench.litellm.state.keys[created.key.hash]?["blocked"] == true)
            var row = try await bench.row(created)
            #expect(row.revokedAt != nil)
            #expect(row.deletedAt == nil)
            #expect(row.sync.isSynced)
            #expect(try await !bench.keepsSecret(created))

            let deletion = try #require(output.deletionJobId)
            let snapshot = try #require(try await bench.services.queue.job(id: deletion))
            let deadline = try #require(row.createDeadlineAt)
            #expect(snapshot.state == .scheduled)
            #expect(snapshot.runAt >= deadline.addingTimeInterval(599))

            // Started too early, it waits on.
            try await bench.finish(job.id)
            let snooze = await #expect(throws: JobSnooze.self) { try await bench.attempt(deletion) }
            #expect(snooze.map { $0.delay > .seconds(500) } == true)
            try await letTheWindowPass(bench)
            let deleted = try #require(try await bench.attempt(deletion) as? KeyDelete.Output)
            #expect(!deleted.wasGone)
            // Once more, as after a crash before the job's end was noted: nothing is noted twice.
            #expect(try #require(try await bench.attempt(deletion) as? KeyDelete.Output).wasGone)
            #expect(bench.litellm.state.keys.isEmpty)
            row = try await bench.row(created)
            #expect(row.deletedAt != nil)
            let audit = try await PostgresAuditStore().entries(
                resourceType: "api_key", resourceId: row.id.text, limit: 10, in: bench.database)
            #expect(
                audit.map(\.action) == [
                    "API_KEY_REMOVED", "API_KEY_REVOKED", "API_KEY_DELETE", "API_KEY_PROVISIONED", "API_KEY_CREATE",
                ])
        }
    }

    @Test(arguments: [true, false]) func survivesDeathBetweenAnyTwoSteps(isCreated: Bool) async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            for afterEffect in [false, true] {
                var call = 0
                var died = true
                while died {
                    call += 1
                    let created = try await bench.addKey(user)
                    // A create that is on its way for as long as it takes.
                    if !isCreated { bench.litellm.fail("/key/generate", .held) }
                    _ = await Task { try await bench.attempt(created.job.id) }.result
                    let job = try #require(try await bench.revoke(created))
                    try await bench.finish(created.job.id)
                    died = try await bench.dies(job.id, atCall: call, afterEffect: afterEffect)
                    for _ in 1...2 {
                        _ = try await bench.attempt(job.id)
                        #expect(isDead(created, bench), "death at call \(call), after its effect: \(afterEffect)")
                    }
                    bench.litellm.deliverHeld()
                    #expect(isDead(created, bench), "after the late create; death at call \(call)")
                    #expect(try await bench.row(created).revokedAt != nil)
                    let deletions = try await bench.jobs(KeyDelete.self)
                    #expect(deletions.count == 1)
                    for deletion in deletions { try await bench.finish(deletion) }
                }
                #expect(call > 2)
            }
        }
    }

    @Test func deletionSurvivesDeathBetweenAnyTwoSteps() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            for afterEffect in [false, true] {
                var call = 0
                var died = true
                while died {
                    call += 1
                    let created = try await bench.addKey(user)
                    try await bench.runAll()
                    let job = try #require(try await bench.revoke(created))
                    _ = try await bench.attempt(job.id)
                    try await bench.finish(job.id)
                    try await letTheWindowPass(bench)
                    let deletion = try #require(try await bench.jobs(KeyDelete.self).first)
                    died = try await bench.dies(deletion, atCall: call, afterEffect: afterEffect)
                    for _ in 1...2 { _ = try await bench.attempt(deletion) }
                    try await bench.finish(deletion)
                    #expect(bench.litellm.state.keys.isEmpty)
                    #expect(bench.litellm.state.deletedKeys[created.key.hash] != nil)
                    #expect(try await bench.row(created).deletedAt != nil)
                }
                #expect(call > 3)
            }
        }
    }

    @Test func aCreateHeldBackUntilAfterTheRevokeDoesNotRevive() async throws {
        try await withKey(isCreated: false) { bench, created in
            // The create request left its worker and is held up somewhere on the way.
            bench.litellm.fail("/key/generate", .held)
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            let job = try #require(try await bench.revoke(created))
            #expect(bench.litellm.state.keys.isEmpty)

            let output = try revokeOutput(try await bench.attempt(job.id))
            #expect(output.state == "blocked")
            #expect(try await bench.row(created).revokedAt != nil)
            bench.litellm.deliverHeld()
            #expect(bench.litellm.state.keys.count == 1)
            #expect(bench.litellm.state.keys[created.key.hash]?["blocked"] == true)
            // The one that holds the place says whose it was and allows no more than it did.
            #expect(bench.litellm.state.keys[created.key.hash]?["models"] == ["gpt"])
            #expect(
                bench.litellm.state.keys[created.key.hash]?["metadata"]?["db_key_id"]?.stringValue
                    == created.key.id.text)

            try await bench.finish(job.id)
            try await letTheWindowPass(bench)
            let deletion = try #require(output.deletionJobId)
            _ = try await bench.attempt(deletion)
            #expect(bench.litellm.state.keys.isEmpty)
        }
    }

    @Test func aCreateThatArrivesInTheMiddleIsBlocked() async throws {
        try await withKey(isCreated: false) { bench, created in
            bench.litellm.fail("/key/generate", .connectionLost(afterEffect: true))
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            let job = try #require(try await bench.revoke(created))
            // The revoke does not see the key yet, and then its own request finds the alias taken.
            let row = bench.litellm.state.keys[created.key.hash]
            bench.litellm.fail("/key/info", .answer(404, Self.notFound))
            let output = try revokeOutput(try await bench.attempt(job.id))
            #expect(row != nil)
            #expect(output.state == "blocked")
            #expect(isDead(created, bench))
        }
    }

    @Test func aDeletedKeyIsTakenUpAgainBlockedWhileACreateMayArrive() async throws {
        try await withKey { bench, created in
            bench.litellm.change { $0.deletedKeys[created.key.hash] = $0.keys.removeValue(forKey: created.key.hash) }
            let job = try #require(try await bench.revoke(created))
            let output = try revokeOutput(try await bench.attempt(job.id))
            #expect(output.state == "blocked")
            #expect(bench.litellm.state.keys[created.key.hash]?["blocked"] == true)
        }
    }

    @Test func nothingToDoForAKeyThatNeverLeft() async throws {
        try await withKey(isCreated: false) { bench, created in
            let job = try #require(try await bench.revoke(created))
            let output = try revokeOutput(try await bench.attempt(job.id))
            #expect(output == KeyRevoke.Output(keyId: created.key.id.text, state: "absent", deletionJobId: nil))
            let row = try await bench.row(created)
            #expect(row.revokedAt != nil)
            #expect(row.deletedAt != nil)
            #expect(try await !bench.keepsSecret(created))
            #expect(!bench.litellm.state.calls.contains("POST /key/generate"))
        }
    }

    @Test func aKeyDeletedLongAgoIsDone() async throws {
        try await withKey { bench, created in
            bench.litellm.change { $0.deletedKeys[created.key.hash] = $0.keys.removeValue(forKey: created.key.hash) }
            try await letTheWindowPass(bench)
            let job = try #require(try await bench.revoke(created))
            #expect(try revokeOutput(try await bench.attempt(job.id)).state == "deleted")
            #expect(try await bench.row(created).deletedAt != nil)
            #expect(bench.litellm.state.keys.isEmpty)
        }
    }

    @Test func withoutTheSecretItWaitsUntilNoCreateCanArrive() async throws {
        try await withKey(isCreated: false) { bench, created in
            bench.litellm.fail("/key/generate", .connectionLost(afterEffect: false))
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            try await bench.database.query("delete from sealed_secrets")
            let job = try #require(try await bench.revoke(created))
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(job.id) }
            #expect(failure?.info.errorClass == .retryable)
            #expect(try await bench.row(created).revokedAt == nil)
            try await letTheWindowPass(bench)
            #expect(try revokeOutput(try await bench.attempt(job.id)).state == "absent")
        }
    }

    @Test func anAnswerOfSuccessIsNotBelieved() async throws {
        try await withKey { bench, created in
            let job = try #require(try await bench.revoke(created))
            for _ in 1...4 { bench.litellm.fail("/key/block", .answer(200, [:])) }
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(job.id) }
            #expect(failure?.info.code == "not_refused_yet")
            #expect(try await bench.row(created).revokedAt == nil)
            #expect(try revokeOutput(try await bench.attempt(job.id)).state == "blocked")
        }
    }

    @Test func aRevivedKeyIsBlockedBeforeItIsDeleted() async throws {
        try await withKey { bench, created in
            let job = try #require(try await bench.revoke(created))
            let output = try revokeOutput(try await bench.attempt(job.id))
            try await bench.finish(job.id)
            try await letTheWindowPass(bench)
            bench.litellm.change { $0.keys[created.key.hash]?["blocked"] = false }
            let before = bench.litellm.state.calls.count
            _ = try await bench.attempt(try #require(output.deletionJobId))
            #expect(
                bench.litellm.state.calls[before...] == [
                    "GET /key/info", "POST /key/block", "POST /key/delete", "GET /key/info",
                ])
            #expect(bench.litellm.state.keys.isEmpty)
        }
    }

    @Test func neverGivesUp() {
        #expect(KeyRevoke.retry.maxAttempts == RetryPolicy.unlimitedAttempts)
        #expect(KeyRevoke.retry.retriesPermanentErrors)
        #expect(KeyDelete.retry.maxAttempts == RetryPolicy.unlimitedAttempts)
        #expect(KeyRevoke.queue == "security")
        #expect(KeyDelete.queue == "security")
        #expect(KeyRevoke.priority < KeyDelete.priority)
    }

    private static let notFound: JSONValue = [
        "error": ["message": "Key not found in database", "type": "not_found_error", "code": "404"]
    ]
}
