package import Foundation

/// The tables `usage_exports` and `usage_export_chunks`, and the rows that go into the files.
package struct PostgresUsageExportStore: Sendable {
    /// A page of a file's rows.
    package struct Page: Sendable {
        package var rows: [[UsageExportWriter.Value]]
        /// Where the next page begins; nil at the end.
        package var next: UUID?
    }

    /// A store without state.
    package init() {}

    // MARK: Rows

    /// Rows of a file: days in order, or users by id and at last what belongs to none of ours.
    ///
    /// - Parameters:
    ///   - cursor: of the page before.
    ///   - limit: users on a page.
    package func page(
        _ request: UsageExportRequest, after cursor: UUID?, limit: Int, in executor: any PostgresExecutor
    ) async throws -> Page {
        switch request.scope {
        case .own: Page(rows: try await days(request, in: executor), next: nil)
        case .admin: try await users(request, after: cursor, limit: limit, in: executor)
        }
    }

    private func days(
        _ request: UsageExportRequest, in executor: any PostgresExecutor
    ) async throws -> [[UsageExportWriter.Value]] {
        try await executor.query(
            """
            select day, \(unescaped: Self.sums) from usage_daily where \(Self.condition(request))
            group by day order by day
            """
        ).map { row in
            let totals = try UsageTotals(row: row)
            // Latency is always 0: LiteLLM's daily activity does not tell it.
            return [
                .text(try row.get("day", as: String.self)), .count(totals.requests), .count(totals.totalTokens),
                .count(totals.promptTokens), .count(totals.completionTokens), .count(0),
                .percent(totals.percent(of: totals.failedRequests)),
                .percent(totals.percent(of: totals.successfulRequests)),
            ]
        }
    }

    private func users(
        _ request: UsageExportRequest, after cursor: UUID?, limit: Int, in executor: any PostgresExecutor
    ) async throws -> Page {
        let condition = Self.condition(request)
        let later: PostgresFragment = cursor.map { "user_id > \($0)" } ?? "user_id is not null"
        let rows = try await executor.query(
            """
            select s.*, u.username, u.email from (
                select user_id, \(unescaped: Self.sums) from usage_daily where \(condition) and \(later)
                group by user_id order by user_id limit \(limit)
            ) s left join users u on u.id = s.user_id order by s.user_id
            """)
        var page = Page(rows: [], next: nil)
        for row in rows {
            let id: UUID = try row.get("user_id")
            page.next = id
            page.rows.append(
                Self.values(
                    id: id.text, name: try row.get("username") ?? "", email: try row.get("email") ?? "",
                    try UsageTotals(row: row)))
        }
        guard rows.count < limit else { return page }
        page.next = nil
        let others = try await executor.query(
            "select \(unescaped: Self.sums) from usage_daily where \(condition) and user_id is null having count(*) > 0"
        )
        for row in others {
            page.rows.append(Self.values(id: "", name: "Unknown User", email: "", try UsageTotals(row: row)))
        }
        return page
    }

    private static func values(
        id: String, name: String, email: String, _ totals: UsageTotals
    ) -> [UsageExportWriter.Value] {
        [
            .text(id), .text(name), .text(email), .count(totals.requests), .count(totals.totalTokens),
            .count(totals.promptTokens), .count(totals.completionTokens), .money(totals.spend),
        ]
    }

    private static func condition(_ request: UsageExportRequest) -> PostgresFragment {
        var parts: [PostgresFragment] = [
            "day between \(request.from.description)::date and \(request.to.description)::date"
        ]
        if !request.userIds.isEmpty { parts.append("user_id = any (\(request.userIds))") }
        if !request.modelIds.isEmpty { parts.append("model_id = any (\(request.modelIds))") }
        if !request.providers.isEmpty { parts.append("provider = any (\(request.providers))") }
        if let ids = request.apiKeyIds { parts.append("api_key_id = any (\(ids))") }
        return .joined(parts, separator: " and ")
    }

    private static let sums: StaticString = """
        coalesce(sum(spend), 0) as spend, coalesce(sum(prompt_tokens), 0)::bigint as prompt_tokens,
        coalesce(sum(completion_tokens), 0)::bigint as completion_tokens,
        coalesce(sum(total_tokens), 0)::bigint as total_tokens, coalesce(sum(requests), 0)::bigint as requests,
        coalesce(sum(successful_requests), 0)::bigint as successful_requests,
        coalesce(sum(failed_requests), 0)::bigint as failed_requests
        """

    // MARK: Files

    /// Stores that a file is wanted.
    package func insert(
        _ request: UsageExportRequest, id: UUID, ownerId: UUID?, keptFor: Duration, in transaction: PostgresTransaction
    ) async throws -> UsageExportFile {
        let document = String(decoding: try JSON.encoder.encode(request), as: UTF8.self)
        return try await transaction.query(
            """
            insert into usage_exports (id, owner_id, request, expires_at)
            values (\(id), \(ownerId), \(document)::text::jsonb,
                now() + make_interval(secs => \(keptFor.inSeconds)))
            returning *
            """
        ).map(Self.file)[0]
    }

    /// Notes the job that writes it.
    package func note(jobId: Int64, of id: UUID, in transaction: PostgresTransaction) async throws {
        try await transaction.query("update usage_exports set job_id = \(jobId) where id = \(id)")
    }

    /// A file that has not expired.
    package func find(_ id: UUID, in executor: any PostgresExecutor) async throws -> UsageExportFile? {
        try await executor.query("select * from usage_exports where id = \(id) and expires_at > now()")
            .first.map(Self.file)
    }

    /// The same, locked against whoever else writes it.
    package func lock(_ id: UUID, in transaction: PostgresTransaction) async throws -> UsageExportFile? {
        try await transaction.query("select * from usage_exports where id = \(id) and expires_at > now() for update")
            .first.map(Self.file)
    }

    /// Stores the next part of a file.
    package func append(
        _ bytes: [UInt8], number: Int, to id: UUID, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            insert into usage_export_chunks (export_id, number, bytes)
            values (\(id), \(Int32(clamping: number)), \(Data(bytes)))
            """)
    }

    /// Marks a file as there.
    package func finish(_ id: UUID, rows: Int, bytes: Int, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update usage_exports set status = 'ready', row_count = \(rows), byte_count = \(bytes), error = null,
                finished_at = clock_timestamp()
            where id = \(id)
            """)
    }

    /// Marks a file as given up; nil as wanted again.
    package func mark(_ id: UUID, failed error: JSONValue?, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update usage_exports set status = case when \(error == nil) then 'pending' else 'failed' end,
                error = \(error), finished_at = case when \(error == nil) then null else clock_timestamp() end
            where id = \(id) and status <> 'ready'
            """)
    }

    /// A part of a file, from 0; nil behind the last one.
    package func chunk(_ number: Int, of id: UUID, in executor: any PostgresExecutor) async throws -> Data? {
        try await executor.query(
            """
            select bytes from usage_export_chunks where export_id = \(id) and number = \(Int32(clamping: number))
            """
        ).first?.decode(Data.self)
    }

    /// Deletes files whose time is over; gives how many.
    package func purge(limit: Int, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query(
            """
            with gone as (
                delete from usage_exports where id in (
                    select id from usage_exports where expires_at <= now() order by expires_at limit \(limit)
                    for update skip locked)
                returning 1)
            select count(*) from gone
            """
        ).one(Int.self)
    }

    private static func file(_ row: PostgresRow) throws -> UsageExportFile {
        let document: PostgresJSON = try row.get("request")
        let request = try JSON.decoder.decode(UsageExportRequest.self, from: Data(document.text.utf8))
        return UsageExportFile(
            id: try row.get("id"), ownerId: try row.get("owner_id"), request: request, status: try row.get("status"),
            rowCount: try row.get("row_count"), byteCount: try row.get("byte_count"), error: try row.get("error"),
            jobId: try row.get("job_id"), createdAt: try row.get("created_at"), finishedAt: try row.get("finished_at"),
            expiresAt: try row.get("expires_at"))
    }
}

extension UsageTotals {
    /// Of the requests that ended one way or the other; 0 without any.
    fileprivate func percent(of part: Int) -> Double {
        let whole = successfulRequests + failedRequests
        return whole > 0 ? (Double(part) / Double(whole) * 10_000).rounded() / 100 : 0
    }
}
