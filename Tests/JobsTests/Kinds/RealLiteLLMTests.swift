import Foundation
import FoundationNetworking
import Logging
import Shared
import TestSupport
import Testing

@testable import Jobs

/// The kinds against the LiteLLM at `LITELLM_API_URL`, a real one or the simulator: what the one in memory is taken
/// to do.
@Suite(.needsDatabase, .enabled(if: RealLiteLLM.settings != nil, "LITELLM_API_URL and LITELLM_API_KEY are not set"))
struct RealLiteLLMTests {
    private func withUser(
        _ body: @Sendable (KindBench, User, _ model: String, LiteLLMClient) async throws -> Void
    ) async throws {
        try await RealBench.run { real in
            try await body(real.bench, try await real.addUser(), real.model, real.litellm)
        }
    }

    /// The status of a chat call with a key's secret.
    private func chat(_ secret: Secret, model: String) async throws -> Int {
        try await post(
            "/chat/completions", ["model": .string(model), "messages": [["role": "user", "content": "Hello"]]], secret)
    }

    /// The status of a call with a key.
    private func post(_ path: String, _ body: JSONValue, _ secret: Secret) async throws -> Int {
        let settings = try #require(RealLiteLLM.settings)
        var request = URLRequest(url: try #require(URL(string: settings.baseURL + path)))
        request.httpMethod = "POST"
        request.setValue("Bearer \(secret.reveal())", forHTTPHeaderField: "authorization")
        request.setValue("application/json", forHTTPHeaderField: "content-type")
        request.httpBody = Data(body.encodedString().utf8)
        let (_, response) = try await URLSession.shared.data(for: request)
        return try #require(response as? HTTPURLResponse).statusCode
    }

    @Test func aKeyCallsModelsAndManagesNothing() async throws {
        try await withUser { bench, user, model, litellm in
            let created = try await bench.addKey(user) { $0.modelIds = [model] }
            try await bench.runAll()
            #expect(try await chat(created.secret, model: model) == 200)
            // Else it would be a key of the same owner, for all models and without a budget.
            #expect(
                try await post("/key/generate", ["key_alias": .string("child of \(created.key.id)")], created.secret)
                    == 403)
            #expect(try await litellm.listKeys(userId: user.id.text).totalCount == 1)
        }
    }

    @Test func aKeyLivesAndDies() async throws {
        try await withUser { bench, user, model, litellm in
            let created = try await bench.addKey(user) { request in
                request.modelIds = [model]
                request.expiresAt = Date() + 86_400
                request.metadata = ["guardrails": ["nobody-obeys-this"], "n": 1]
                request.permissions = ["allowChatCompletions": true]
                request.limits = APIKeyLimits(
                    spending: SpendingLimits(
                        maxBudget: Decimal(string: "12.34"), budgetDuration: "monthly", tpmLimit: 100_000, rpmLimit: 100
                    ),
                    softBudget: 10, maxParallelRequests: 7,
                    modelMaxBudget: .object([model: ["budgetLimit": 5, "timePeriod": "daily"]]),
                    modelRpmLimit: .object([model: 50]), modelTpmLimit: .object([model: 50_000]))
            }
            let output = try #require(try await bench.attempt(created.job.id) as? KeyCreate.Output)
            #expect(output.outcome == "created")
            let key = try #require(try await litellm.keyInfo(hash: created.key.hash))
            // With a licence LiteLLM takes budgets by model, without one the owner is told.
            #expect(output.warnings.map(\.field) == (key.modelMaxBudget?[model] == nil ? ["modelMaxBudget"] : []))
            #expect(created.key.differences(from: key).isEmpty)
            #expect(key.marker?.client == ["guardrails": ["nobody-obeys-this"], "n": 1])
            #expect(try await chat(created.secret, model: model) == 200)

            // Twice is once.
            try await bench.database.query("update api_keys set sync_status = 'pending', version_applied = 0")
            _ = try await bench.attempt(created.job.id)
            #expect(try await litellm.listKeys(userId: user.id.text).totalCount == 1)
            try await bench.finish(created.job.id)

            let revoke = try #require(try await bench.revoke(created))
            let revoked = try #require(try await bench.attempt(revoke.id) as? KeyRevoke.Output)
            #expect(revoked.state == "blocked")
            #expect(try await chat(created.secret, model: model) == 401)
            try await bench.finish(revoke.id)
            try await bench.database.query("update api_keys set create_deadline_at = now() - interval '1 hour'")
            _ = try await bench.attempt(try #require(revoked.deletionJobId))
            #expect(try await litellm.keyInfo(hash: created.key.hash)?.status ?? .deleted == .deleted)
            #expect(try await chat(created.secret, model: model) == 401)
        }
    }

    @Test func aLateCreateDoesNotReviveARevokedKey() async throws {
        try await withUser { bench, user, model, litellm in
            let created = try await bench.addKey(user) { $0.modelIds = [model] }
            // As if a create had been sent and were still on its way.
            let spec = try created.key.litellmSpec(intent: created.job.id, now: Date())
            try await bench.database.query("update api_keys set create_deadline_at = now() + interval '30 seconds'")
            let revoke = try #require(try await bench.revoke(created))
            let revoked = try #require(try await bench.attempt(revoke.id) as? KeyRevoke.Output)
            #expect(revoked.state == "blocked")
            do {
                try await litellm.generateKey(spec, secret: created.secret)
            } catch let error as LiteLLMError {
                #expect(error.code == LiteLLMError.Code.aliasExists)
            }
            #expect(try await litellm.keyInfo(hash: created.key.hash)?.status == .blocked)
            #expect(try await chat(created.secret, model: model) == 401)
        }
    }

    @Test func limitsOfUserAndTeamAreSetRight() async throws {
        try await withUser { bench, user, _, litellm in
            let found = try #require(try await litellm.user(id: user.id.text))
            #expect(found.marker?.id == user.id.text)
            #expect(found.maxBudget == 100)
            #expect(found.budgetDuration == "30d")
            let team = try #require(try await litellm.team(id: Team.defaultId.text))
            #expect(team.members.contains(user.id.text))
            #expect(team.maxBudget == 10000)

            try await bench.database.query(
                """
                update users set max_budget = null, budget_duration = 'weekly', tpm_limit = 5, version_wanted = 2,
                    full_name = 'New Name', sync_status = 'pending'
                where id = \(user.id)
                """)
            let job = try await bench.database.withTransaction { transaction in
                try await UserProvisioning(queue: bench.services.queue).ensure(
                    user.id, requester: JobRequester(id: nil), in: transaction)
            }
            let jobId = try #require(job).id
            let output = try #require(try await bench.attempt(jobId) as? UserProvision.Output)
            #expect(output.changed == ["fullName", "maxBudget", "budgetDuration", "tpmLimit", "marker"])
            let changed = try #require(try await litellm.user(id: user.id.text))
            #expect(changed.maxBudget == nil)
            #expect(changed.budgetDuration == "7d")
            #expect(changed.tpmLimit == 5)
            #expect(changed.alias == "New Name")
            #expect(changed.marker?.version == 2)
        }
    }

    @Test func theAddressOfAnotherUserIsAConflict() async throws {
        try await withUser { bench, user, _, litellm in
            let other = UUID().text
            var spec = LiteLLMUserSpec(
                id: other, marker: LiteLLMMarker(.user, id: other, intentId: "0", version: 1),
                email: "X\(other)@example.com")
            spec.alias = "Other"
            try await litellm.createUser(spec)
            let second = try await bench.addUser("x\(other)")
            let jobId = try #require(try await bench.jobs(UserProvision.self).last)
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(jobId) }
            #expect(failure?.info.code == "user_email_taken")
            #expect(failure?.info.message.contains(other) == true)
            #expect(failure?.info.message.contains(second.id.text) == true)
            #expect(try await litellm.user(id: second.id.text) == nil)
        }
    }

    @Test func aDayOfUseShowsTheSpendOfACall() async throws {
        try await withUser { bench, user, model, _ in
            let created = try await bench.addKey(user) { $0.modelIds = [model] }
            try await bench.runAll()
            #expect(try await chat(created.secret, model: model) == 200)
            let today = UTCDay(containing: Date())
            let usage = PostgresUsageStore()
            // LiteLLM writes spend in batches.
            let deadline = ContinuousClock.now + .seconds(60)
            var summary: UsageSummary
            repeat {
                let job = try await bench.services.queue.enqueue(UsageFetchDay(date: today))
                _ = try await bench.attempt(job.id)
                try await bench.finish(job.id)
                summary = try await usage.summary(
                    UsageFilter(from: today, to: today, apiKeyId: created.key.id), in: bench.database)
            } while summary.totals.requests == 0 && ContinuousClock.now < deadline
            #expect(summary.totals.requests == 1)
            #expect(summary.totals.successfulRequests == 1)
            #expect(summary.totals.spend > 0)
            #expect(summary.byModel.map(\.modelId) == [model])
            let mine = try await usage.summary(
                UsageFilter(from: today, to: today, userId: user.id), in: bench.database)
            #expect(mine.totals == summary.totals)
            let day = try #require(try await usage.day(today, in: bench.database))
            let sum = day.entries.reduce(UsageTotals.zero) { $0 + $1.totals }
            #expect(day.totals == sum)
        }
    }
}
