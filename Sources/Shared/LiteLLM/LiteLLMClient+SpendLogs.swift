package import Foundation

/// A page of LiteLLM's log of single calls.
package struct LiteLLMSpendLogPage: Decodable, Sendable {
    package var entries: [UsageLogEntry]
    package var totalPages: Int
    /// Whether there are more than LiteLLM counts.
    package var isCapped: Bool

    package init(from decoder: any Decoder) throws {
        let answer = try decoder.container(keyedBy: AnyMember.self)
        entries = try answer.decode([Row].self, forKey: "data").compactMap(\.entry)
        totalPages = answer.integer("total_pages") ?? 1
        isCapped = answer.flag("total_is_capped") ?? false
    }

    private struct Row: Decodable {
        /// Nil for a row that cannot be told from others.
        let entry: UsageLogEntry?

        init(from decoder: any Decoder) throws {
            let row = try decoder.container(keyedBy: AnyMember.self)
            guard let id = row.name("request_id"), let startedAt = row.date("startTime") else {
                entry = nil
                return
            }
            let prompt = row.integer("prompt_tokens") ?? 0
            let completion = row.integer("completion_tokens") ?? 0
            let duration = row.date("endTime").map { Int(($0.timeIntervalSince(startedAt) * 1000).rounded()) }
            entry = UsageLogEntry(
                requestId: id, startedAt: startedAt, keyHash: row.name("api_key") ?? "",
                modelId: row.name("model_group") ?? row.name("model") ?? "unknown", spend: row.decimal("spend") ?? 0,
                promptTokens: prompt, completionTokens: completion,
                totalTokens: row.integer("total_tokens") ?? prompt + completion,
                status: row.name("status") == "failure" ? .failure : .success,
                durationMs: (row.integer("request_duration_ms") ?? duration).map { max(0, $0) })
        }
    }
}

extension LiteLLMClient {
    /// Rows of the log come with all their metadata, some kilobytes each.
    private static let logPageSize = 500

    /// A page of the calls that began from `start` to `end`, whole seconds in UTC, the oldest first: one that comes in
    /// late moves others to later pages, where they are seen twice, and never away from a page that is still to come.
    package func spendLogs(from start: Date, to end: Date, page: Int) async throws -> LiteLLMSpendLogPage {
        let query = [
            ("start_date", Self.second(start)), ("end_date", Self.second(end)), ("page", "\(page)"),
            ("page_size", "\(min(settings.usagePageSize, Self.logPageSize))"), ("sort_by", "startTime"),
            ("sort_order", "asc"),
        ]
        return try await perform(.get("/spend/logs/v2", query, about: .usage), as: LiteLLMSpendLogPage.self)
    }

    /// `2026-01-31 09:05:07`.
    private static func second(_ date: Date) -> String {
        String(ISO8601.string(from: date).prefix(19)).replacing("T", with: " ")
    }
}
