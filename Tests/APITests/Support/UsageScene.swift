import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API

/// Usage whose sums are worked out by hand: 2026-01-02 to 2026-01-13, a whole week (5 to 11) with days at both edges.
///
/// | day | whose | model | cost | tokens | requests (failed) |
/// |---|---|---|---|---|---|
/// | 12-25 | alice, key 1 | gpt | 1 | 200 + 66 | 22 |
/// | 01-02 | alice, key 1 | gpt | 1.5 | 100 + 50 | 5 (1) |
/// | 01-06 | alice, key 1 before it was rotated | gpt | 0.25 | 10 + 5 | 1 |
/// | 01-06 | alice, key 2, revoked | claude | 2 | 200 + 100 | 5 |
/// | 01-06 | bob, key 3 | gpt | 0.5 | 40 + 20 | 4 (2) |
/// | 01-07 | nobody | | | | |
/// | 01-13, not over | bob, key 3 | claude | 0.000000000001 | 1 + 1 | 1 |
/// | 01-13, not over | a key that is not ours | gpt | 3 | 300 + 150 | 6 |
struct UsageScene: Sendable {
    static let range = ["startDate": "2026-01-02", "endDate": "2026-01-13"] as [String: JSONValue]
    static let query = "startDate=2026-01-02&endDate=2026-01-13"
    static let missing: JSONValue = [
        "2026-01-03", "2026-01-04", "2026-01-05", "2026-01-08", "2026-01-09", "2026-01-10", "2026-01-11", "2026-01-12",
    ]

    struct Key: Sendable {
        var id: String
        var hash: String
        var alias: String
    }

    let api: APIHarness
    let alice, bob, admin: User
    let first, second, third: Key
    /// The name of the first key's secret before it was rotated.
    let oldAlias = "first-key-before"

    init(_ api: APIHarness) async throws {
        self.api = api
        try await api.addModels("gpt", "claude")
        alice = try await api.addUser("alice")
        bob = try await api.addUser("bob")
        admin = try await api.addAdmin()
        first = try await Self.key(api, alice)
        second = try await Self.key(api, alice)
        third = try await Self.key(api, bob)
        let old = sha256Hex("an older secret")
        try await api.database.client.query(
            """
            insert into api_key_hashes (key_hash, api_key_id, litellm_alias, key_prefix, role)
            values (\(old), \(try #require(UUID(uuidString: first.id))), \(oldAlias), 'sk-old1', 'old')
            """)
        let revoked = try await api.send(.delete, "/api/v1/api-keys/\(second.id)", as: alice)
        try #require(revoked.status == 202)
        let foreign = String(repeating: "f", count: 64)
        try await take("2025-12-25", [Self.entry(first.hash, "gpt", "1", 200, 66, 22)])
        try await take("2026-01-02", [Self.entry(first.hash, "gpt", "1.5", 100, 50, 5, failed: 1)])
        try await take(
            "2026-01-06",
            [
                Self.entry(old, "gpt", "0.25", 10, 5, 1), Self.entry(second.hash, "claude", "2", 200, 100, 5),
                Self.entry(third.hash, "gpt", "0.5", 40, 20, 4, failed: 2),
            ])
        try await take("2026-01-07", [])
        try await take(
            "2026-01-13",
            [
                Self.entry(third.hash, "claude", "0.000000000001", 1, 1, 1),
                Self.entry(foreign, "gpt", "3", 300, 150, 6),
            ], isComplete: false)
    }

    private static func key(_ api: APIHarness, _ user: User) async throws -> Key {
        let answer = try await api.createKey(as: user)
        let id = try #require(answer["id"]?.stringValue)
        let secret = try #require(answer["key"]?.stringValue)
        let alias = try await api.database.client.query(
            "select litellm_alias from api_keys where id = \(try #require(UUID(uuidString: id)))"
        ).one(String.self)
        return Key(id: id, hash: sha256Hex(secret), alias: alias)
    }

    static func entry(
        _ hash: String, _ model: String, _ spend: String, _ prompt: Int, _ completion: Int, _ requests: Int,
        failed: Int = 0
    ) -> UsageEntry {
        UsageEntry(
            keyHash: hash, modelId: model, provider: model == "gpt" ? "openai" : "anthropic", keyAlias: nil,
            totals: UsageTotals(
                spend: Decimal(string: spend) ?? 0, promptTokens: prompt, completionTokens: completion,
                totalTokens: prompt + completion, requests: requests, successfulRequests: requests - failed,
                failedRequests: failed))
    }

    /// Takes a day over as the job does.
    func take(_ day: String, _ entries: [UsageEntry], isComplete: Bool = true) async throws {
        let usage = UsageDay(
            day: try #require(UTCDay(day)), fetchedAt: Date(), isComplete: isComplete,
            totals: entries.reduce(.zero) { $0 + $1.totals }, entries: entries)
        try await api.database.client.withTransaction { transaction in
            _ = try await PostgresUsageStore().replace(usage, jobId: 1, in: transaction)
        }
    }

    /// Asks about the range, or others, with a filter.
    func ask(
        _ path: String, _ filter: [String: JSONValue] = [:], as user: User? = nil
    ) async throws -> Answer {
        try await api.send(
            .post, path, .object(Self.range.merging(filter) { $1 }), as: user ?? admin)
    }

    /// How many requests a filter lets through.
    func requests(_ filter: [String: JSONValue]) async throws -> Int? {
        try await ask("/api/v1/admin/usage/analytics", filter)["totalRequests"]?.intValue
    }
}
