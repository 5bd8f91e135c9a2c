import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite(.needsDatabase) struct KeyCreateTests {
    /// A bench with a synchronised user and a key that nobody has created yet.
    private func withKey(
        change: @escaping @Sendable (inout KeyCreateRequest) -> Void = { _ in },
        _ body: @Sendable (KindBench, CreatedKey) async throws -> Void
    ) async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            try await body(bench, try await bench.addKey(user, change: change))
        }
    }

    private func output(_ value: any Sendable) throws -> KeyCreate.Output {
        try #require(value as? KeyCreate.Output)
    }

    @Test func createsTheKeyWithSecretAliasAndMarker() async throws {
        let expiry = Date() + 86_400
        try await withKey { request in
            request.limits.spending = SpendingLimits(
                maxBudget: 12.5, budgetDuration: "monthly", tpmLimit: 9, rpmLimit: 8)
            request.limits.maxParallelRequests = 2
            request.limits.modelRpmLimit = ["gpt": 3]
            request.metadata = ["guardrails": ["off"]]
            request.permissions = ["allowChatCompletions": true]
            request.expiresAt = expiry
        } _: { bench, created in
            let output = try output(try await bench.attempt(created.job.id))
            #expect(output == KeyCreate.Output(keyId: created.key.id.text, outcome: "created", warnings: []))
            let key = try #require(bench.litellm.state.keys[created.key.hash])
            #expect(bench.litellm.state.keys.count == 1)
            #expect(key["key_alias"]?.stringValue == "My-key_\(created.key.id.text)")
            #expect(key["user_id"]?.stringValue == created.key.userId.text)
            #expect(key["team_id"]?.stringValue == Team.defaultId.text)
            #expect(key["models"] == ["gpt"])
            #expect(key["max_budget"]?.doubleValue == 12.5)
            #expect(key["budget_duration"] == "30d")
            // LiteLLM opens routes for names that it finds in permissions, and lets a key manage its owner's.
            #expect(key["permissions"] == nil && key["allowed_routes"] == ["llm_api_routes"])
            // The caller's metadata is out of the reach of what LiteLLM obeys.
            #expect(key["metadata"]?["client"] == ["guardrails": ["off"]])
            #expect(key["metadata"]?["guardrails"] == nil)
            #expect(key["metadata"]?["created_by"] == "litemaas")
            #expect(key["metadata"]?["db_key_id"]?.stringValue == created.key.id.text)
            #expect(key["metadata"]?["intent_id"]?.stringValue == String(created.job.id))

            let row = try await bench.row(created)
            #expect(row.sync.isSynced)
            #expect(row.sync.error == nil)
            #expect(row.createDeadlineAt != nil)
            let audit = try await PostgresAuditStore().entries(
                resourceType: "api_key", resourceId: row.id.text, limit: 10, in: bench.database)
            #expect(audit.map(\.action) == ["API_KEY_PROVISIONED", "API_KEY_CREATE"])
            // The secret stays a little, then the purge takes it.
            #expect(try await bench.keepsSecret(created))
            try await bench.database.query("update sealed_secrets set delete_after = now() - interval '1 second'")
            #expect(try await PostgresSealedSecretStore().purgeDue(limit: 10, in: bench.database) == 1)
        }
    }

    @Test func survivesDeathBetweenAnyTwoSteps() async throws {
        var settings = ProvisioningSettings()
        settings.maxActiveKeysPerUser = 100
        try await KindBench.run(settings: settings) { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            for afterEffect in [false, true] {
                var call = 0
                var died = true
                while died {
                    call += 1
                    let created = try await bench.addKey(user)
                    died = try await bench.dies(created.job.id, atCall: call, afterEffect: afterEffect)
                    for _ in 1...2 {
                        let output = try output(try await bench.attempt(created.job.id))
                        #expect(output.outcome == "created", "death at call \(call), after its effect: \(afterEffect)")
                    }
                    let made = bench.litellm.state.keys.filter { _, key in
                        key["metadata"]?["db_key_id"]?.stringValue == created.key.id.text
                    }
                    #expect(Array(made.keys) == [created.key.hash])
                    #expect(bench.litellm.state.deletedKeys.isEmpty)
                    #expect(try await bench.row(created).sync.isSynced)
                }
                #expect(call > 2)
            }
        }
    }

    @Test(arguments: [
        FakeLiteLLM.Fault.connectionLost(afterEffect: true), .connectionLost(afterEffect: false),
        .answerAfterEffect(500, ["error": ["message": "Internal Server Error."]]),
        .answer(503, ["error": ["message": "no", "type": "no_db_connection"]]),
        .answerAfterEffect(200, ["what": "is this"]), .held,
    ])
    func readsBeforeItRepeats(fault: FakeLiteLLM.Fault) async throws {
        try await withKey { bench, created in
            bench.litellm.fail("/key/generate", fault)
            let error = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            #expect(error?.kind == .retryable)
            #expect(try await bench.row(created).createDeadlineAt != nil)
            _ = try await bench.attempt(created.job.id)
            bench.litellm.deliverHeld()
            #expect(Array(bench.litellm.state.keys.keys) == [created.key.hash])
            #expect(try await bench.row(created).sync.isSynced)
        }
    }

    @Test func takesOverItsOwnKeyBehindATakenAlias() async throws {
        try await withKey { bench, created in
            // A create of ours that arrives between the read and the request.
            bench.litellm.fail("/key/generate", .answerAfterEffect(400, Self.aliasTaken))
            let output = try output(try await bench.attempt(created.job.id))
            #expect(output.outcome == "created")
            #expect(bench.litellm.state.keys.count == 1)
        }
    }

    @Test func leavesAForeignKeyWithTheAliasToAPerson() async throws {
        try await withKey { bench, created in
            bench.litellm.change { state in
                state.keys["f0"] = [
                    "token": "f0", "key_alias": .string(created.key.alias), "user_id": "somebody", "models": [],
                    "key_name": "sk-...0000",
                ]
            }
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(created.job.id) }
            #expect(failure?.info.errorClass == .conflict)
            #expect(failure?.info.code == "alias_conflict")
            #expect(failure?.info.message.contains("somebody") == true)
            #expect(failure?.info.message.contains(created.key.userId.text) == true)
            #expect(bench.litellm.state.keys.count == 1)

            try await bench.end(created.job.id, as: .failed, code: "alias_conflict")
            let row = try await bench.row(created)
            #expect(row.sync.status == .failed)
            #expect(row.sync.error?.code == "alias_conflict")
            #expect(row.sync.error?.at != nil)
            // A retry can still create it.
            #expect(try await bench.keepsSecret(created))
            bench.litellm.change { $0.keys = [:] }
            try await bench.services.queue.retry(id: created.job.id)
            #expect(try await bench.row(created).sync.status == .pending)
            _ = try await bench.attempt(created.job.id)
            #expect(try await bench.row(created).sync.isSynced)
        }
    }

    @Test func refusesAKeyThatIsMarkedAsAnothers() async throws {
        try await withKey { bench, created in
            bench.litellm.fail("/key/generate", .connectionLost(afterEffect: true))
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            bench.litellm.change { $0.keys[created.key.hash]?["metadata"] = ["created_by": "me"] }
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(created.job.id) }
            #expect(failure?.info.code == "key_conflict")
        }
    }

    @Test func setsRightWhatLiteLLMStoredDifferently() async throws {
        try await withKey { bench, created in
            bench.litellm.fail("/key/generate", .connectionLost(afterEffect: true))
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            bench.litellm.change { state in
                state.keys[created.key.hash]?["max_budget"] = 1
                state.keys[created.key.hash]?["models"] = ["gpt", "other"]
            }
            _ = try await bench.attempt(created.job.id)
            let key = try #require(bench.litellm.state.keys[created.key.hash])
            #expect(key["max_budget"] == nil)
            #expect(key["models"] == ["gpt"])
        }
    }

    @Test func givesUpOnWhatLiteLLMWillNotStore() async throws {
        try await withKey { bench, created in
            bench.litellm.fail("/key/generate", .connectionLost(afterEffect: true))
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            bench.litellm.change { $0.keys[created.key.hash]?["user_id"] = "somebody" }
            bench.litellm.fail("/key/update", .answer(200, [:]))
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(created.job.id) }
            #expect(failure?.info.code == "verification_failed")
            #expect(failure?.info.message.contains("userId") == true)
            let row = try await bench.row(created)
            #expect(row.sync.status == .pending)
        }
    }

    @Test func worksWithoutWhatNeedsALicenceAndSaysSo() async throws {
        try await withKey { request in
            request.limits.modelMaxBudget = ["gpt": ["budgetLimit": 5, "timePeriod": "monthly"]]
        } _: { bench, created in
            let output = try output(try await bench.attempt(created.job.id))
            #expect(output.warnings.map(\.field) == ["modelMaxBudget"])
            #expect(try await bench.row(created).warnings == output.warnings)
            #expect(bench.litellm.state.keys.count == 1)
        }
    }

    @Test func givesUpWhenChosenKeysAreForbidden() async throws {
        try await withKey { bench, created in
            bench.litellm.fail(
                "/key/generate",
                .answer(403, ["error": ["message": "Custom API key values are disabled.", "type": "forbidden"]]))
            let error = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            #expect(error?.code == "custom_keys_disabled")
            #expect(error?.kind == .permanent)
        }
    }

    @Test func removesAKeyThatLiteLLMMadeInsteadOfOurs() async throws {
        try await withKey { bench, created in
            bench.litellm.change { $0.makesOwnSecrets = true }
            let error = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            #expect(error?.code == "custom_keys_disabled")
            #expect(bench.litellm.state.keys.isEmpty)
            #expect(bench.litellm.state.deletedKeys.count == 1)
        }
    }

    @Test func createsAgainWhatWasDeletedBehindOurBack() async throws {
        try await withKey { bench, created in
            bench.litellm.fail("/key/generate", .connectionLost(afterEffect: true))
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            bench.litellm.change { $0.deletedKeys[created.key.hash] = $0.keys.removeValue(forKey: created.key.hash) }
            _ = try await bench.attempt(created.job.id)
            #expect(bench.litellm.state.keys.count == 1)
        }
    }

    @Test func leavesAKeyThatSomebodyBlockedAlone() async throws {
        try await withKey { bench, created in
            bench.litellm.fail("/key/generate", .connectionLost(afterEffect: true))
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            bench.litellm.change { $0.keys[created.key.hash]?["blocked"] = true }
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(created.job.id) }
            #expect(failure?.info.code == "key_blocked")
            #expect(bench.litellm.state.keys[created.key.hash]?["blocked"] == true)
        }
    }

    @Test func doesNothingForAKeyThatWasRevoked() async throws {
        try await withKey { bench, created in
            try await bench.database.query("update api_keys set is_active = false where id = \(created.key.id)")
            let output = try output(try await bench.attempt(created.job.id))
            #expect(output.outcome == "superseded")
            #expect(!bench.litellm.state.calls.contains("POST /key/generate"))
        }
    }

    @Test func cannotCreateWithoutTheSecret() async throws {
        try await withKey { bench, created in
            try await bench.database.query("delete from sealed_secrets")
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(created.job.id) }
            #expect(failure?.info.code == "secret_gone")
            #expect(failure?.info.errorClass == .permanent)
        }
    }

    @Test func anAttemptThatLostItsJobChangesNothing() async throws {
        try await withKey { bench, created in
            let context = try await bench.claim(created.job.id)
            try await bench.database.query("update jobs set token = token + 1 where id = \(created.job.id)")
            await #expect(throws: JobLeaseLost.self) { try await KeyCreate(keyId: created.key.id).run(in: context) }
            #expect(bench.litellm.state.keys.isEmpty)
            #expect(try await bench.row(created).createDeadlineAt == nil)
        }
    }

    @Test func looksLaterWhatBecameOfTheLastAttempt() async throws {
        try await withKey { bench, created in
            try await bench.database.query("update jobs set max_attempts = 1 where id = \(created.job.id)")
            bench.litellm.fail("/key/generate", .held)
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            try await bench.end(created.job.id, as: .failed, code: "litellm_timeout")
            #expect(try await bench.row(created).neverCreated)
            let later = try #require(try await bench.jobs(KeyVerify.self).first)
            #expect(try await bench.services.queue.job(id: later)?.state == .scheduled)

            var output = try #require(try await bench.attempt(later) as? KeyVerify.Output)
            #expect(output.outcome == "absent")
            #expect(try await bench.row(created).neverCreated)
            bench.litellm.deliverHeld()
            output = try #require(try await bench.attempt(later) as? KeyVerify.Output)
            #expect(output.outcome == "created")
            #expect(try await bench.row(created).sync.isSynced)
        }
    }

    @Test func cancellingForgetsTheSecret() async throws {
        try await withKey { bench, created in
            try await bench.services.queue.cancel(id: created.job.id, by: "admin")
            #expect(try await bench.row(created).sync.error?.code == "cancelled")
            #expect(try await !bench.keepsSecret(created))
        }
    }

    private static let aliasTaken: JSONValue = [
        "error": ["message": "Key with alias 'a' already exists.", "type": "bad_request_error"]
    ]
}
