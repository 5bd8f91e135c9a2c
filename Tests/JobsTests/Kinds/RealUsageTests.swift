import Foundation
import FoundationNetworking
import TestSupport
import Testing

@testable import Jobs
@testable import Shared

/// A day's numbers against what the LiteLLM at `LITELLM_API_URL` says of it in three ways.
@Suite(.needsDatabase, .enabled(if: RealLiteLLM.settings != nil, "LITELLM_API_URL and LITELLM_API_KEY are not set"))
struct RealUsageTests {
    private static let cent = Decimal(sign: .plus, exponent: -2, significand: 1)

    /// A chat call with a key's secret that is answered.
    private func chat(_ secret: Secret, _ model: String) async throws {
        let settings = try #require(RealLiteLLM.settings)
        var request = URLRequest(url: try #require(URL(string: settings.baseURL + "/chat/completions")))
        request.httpMethod = "POST"
        request.setValue("Bearer \(secret.reveal())", forHTTPHeaderField: "authorization")
        request.setValue("application/json", forHTTPHeaderField: "content-type")
        let body: JSONValue = ["model": .string(model), "messages": [["role": "user", "content": "Hello"]]]
        request.httpBody = Data(body.encodedString().utf8)
        let (_, response) = try await URLSession.shared.data(for: request)
        #expect((response as? HTTPURLResponse)?.statusCode == 200)
    }

    @Test("today's numbers are LiteLLM's own: in all, by key and by model, of revoked and rotated keys too")
    func agrees() async throws {
        try await RealBench.run { real in
            let bench = real.bench
            let user = try await real.addUser()
            let kept = try await real.addLiveKey(user)
            let revoked = try await real.addLiveKey(user)
            try await chat(kept.secret, real.model)
            try await chat(kept.secret, real.model)
            try await chat(revoked.secret, real.model)
            let revoke = try #require(try await bench.revoke(revoked))
            try await bench.attempt(revoke.id)
            let rotated = try await bench.rotate(kept)
            try await bench.attempt(rotated.job.id)
            try await chat(rotated.secret, real.model)
            let calls = [
                kept.key.hash: 2, revoked.key.hash: 1, APIKeySecret.hash(of: rotated.secret): 1,
            ]

            let today = UTCDay(containing: Date())
            let job = try await bench.services.queue.enqueue(UsageFetchDay(date: today))
            var wrong: [String] = []
            let deadline = ContinuousClock.now + .seconds(60)
            repeat {
                // LiteLLM writes what was spent in batches, each table at its own time.
                try await bench.attempt(job.id)
                wrong = try await disagreements(real, today, calls)
            } while !wrong.isEmpty && ContinuousClock.now < deadline
            #expect(wrong.isEmpty)
            let own = try await PostgresUsageStore().summary(
                UsageFilter(from: today, to: today, userId: user.id), in: bench.database)
            #expect(own.totals.requests == 4 && own.totals.spend > 0)
            #expect(own.byModel.map(\.modelId) == [real.model])
        }
    }

    private func disagreements(_ real: RealBench, _ day: UTCDay, _ calls: [String: Int]) async throws -> [String] {
        let stored = try #require(try await PostgresUsageStore().day(day, in: real.bench.database))
        let sum = try await real.litellm.activitySum(date: day.description)
        var logged: [UsageLogEntry] = []
        var number = 1
        while true {
            let page = try await real.litellm.spendLogs(from: day.start, to: day.end - 1, page: number)
            logged += page.entries
            guard number < page.totalPages else { break }
            number += 1
        }
        var wrong: [String] = []
        func compare(_ what: String, _ ours: UsageTotals, requests: Int, tokens: Int, spend: Decimal) {
            guard ours.requests != requests || ours.totalTokens != tokens || abs(ours.spend - spend) >= Self.cent else {
                return
            }
            wrong.append(
                "\(what): \(ours.requests), \(ours.totalTokens), \(ours.spend); \(requests), \(tokens), \(spend)")
        }
        if let sum {
            compare(
                "in all", stored.totals, requests: sum.total.requests, tokens: sum.total.totalTokens,
                spend: sum.total.spend)
        }
        for (hash, count) in calls {
            let entries = stored.entries.filter { $0.keyHash == hash && $0.modelId == real.model }
            let ours = entries.reduce(.zero) { $0 + $1.totals }
            let theirs = logged.filter { $0.keyHash == hash && $0.modelId == real.model }
            compare(
                "key \(hash.prefix(8))", ours, requests: theirs.count,
                tokens: theirs.reduce(0) { $0 + $1.totalTokens }, spend: theirs.reduce(0) { $0 + $1.spend })
            if ours.successfulRequests != count {
                wrong.append("key \(hash.prefix(8)): \(ours.successfulRequests) calls")
            }
        }
        return wrong
    }
}
