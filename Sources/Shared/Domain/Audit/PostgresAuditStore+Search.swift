import Foundation

/// Reads of the audit log, which may be large: each looks at a bounded number of entries. What an index finds (user,
/// action, resource, request, time) bounds the entries first, everything else is tried on the newest of these.
extension PostgresAuditStore {
    /// How many entries a page looks at, at most.
    package static let scanLimit = 50_000
    private static let scanLimitText: StaticString = "50000"
    /// How many entries an export looks at, at most.
    package static let exportLimit = 100_000
    private static let exportLimitText: StaticString = "100000"
    /// How many names ``actions(in:)`` and ``resourceTypes(in:)`` give, at most.
    private static let nameLimitText: StaticString = "500"

    /// One page of entries, newest first.
    package func page(
        _ filter: AuditFilter, _ page: PageRequest, in executor: any PostgresExecutor
    ) async throws -> AuditPage {
        let scope = Self.scope(filter)
        let rest = Self.rest(filter)
        let results = try await executor.pipeline([
            """
            select p.*, u.username, u.email from (
                select a.* from (
                    select * from audit_logs a where \(scope)
                    order by created_at desc, id desc limit \(unescaped: Self.scanLimitText)
                ) a where \(rest) order by created_at desc, id desc limit \(page.size) offset \(page.offset)
            ) p left join users u on u.id = p.user_id order by p.created_at desc, p.id desc
            """,
            """
            select count(*) filter (where \(rest)) as total, count(*) as seen from (
                select * from audit_logs a where \(scope)
                order by created_at desc, id desc limit \(unescaped: Self.scanLimitText)
            ) a
            """,
        ])
        let (total, seen) = try results[1][0].decode(Int.self, Int.self)
        return AuditPage(records: try results[0].map(Self.record), total: total, isPartial: seen >= Self.scanLimit)
    }

    // MARK: Export

    /// Whether more entries than ``exportLimit`` are of the user, resource, action, request and time asked for.
    package func exceedsExport(_ filter: AuditFilter, in executor: any PostgresExecutor) async throws -> Bool {
        try await executor.query(
            """
            select exists (
                select from audit_logs a where \(Self.scope(filter))
                order by created_at desc, id desc offset \(unescaped: Self.exportLimitText) limit 1)
            """
        ).one(Bool.self)
    }

    /// The matching ones among the next `size` entries older than `cursor`, newest first, and where the next ones
    /// begin; that is nil at the end.
    package func exportChunk(
        _ filter: AuditFilter, after cursor: AuditCursor?, size: Int, in executor: any PostgresExecutor
    ) async throws -> (records: [AuditRecord], next: AuditCursor?) {
        var scope = Self.scope(filter)
        if let cursor {
            scope = "\(scope) and (a.created_at, a.id) < (\(cursor.createdAt)::timestamptz, \(cursor.id)::bigint)"
        }
        let rows = try await executor.query(
            """
            select a.*, coalesce((\(Self.rest(filter))), false) as matches, u.username, u.email from (
                select * from audit_logs a where \(scope) order by created_at desc, id desc limit \(size)
            ) a left join users u on u.id = a.user_id order by a.created_at desc, a.id desc
            """)
        let records = try rows.filter { try $0.get("matches") }.map(Self.record)
        guard rows.count == size, let last = rows.last else { return (records, nil) }
        return (records, AuditCursor(createdAt: try last.get("created_at"), id: try last.get("id")))
    }

    // MARK: Names

    /// Every action there is an entry of, by name; 500 at most.
    package func actions(in executor: any PostgresExecutor) async throws -> [String] {
        // One step of an index for each name: the table is large, the names are few.
        try await executor.query(
            """
            with recursive names as (
                (select min(action) as name from audit_logs)
                union all
                select (select min(action) from audit_logs where action > n.name) from names n where n.name is not null
            ) select name from names where name is not null limit \(unescaped: Self.nameLimitText)
            """
        ).map { try $0.decode(String.self) }
    }

    /// Every type of resource there is an entry about, by name; 500 at most.
    package func resourceTypes(in executor: any PostgresExecutor) async throws -> [String] {
        try await executor.query(
            """
            with recursive names as (
                (select min(resource_type) as name from audit_logs)
                union all
                select (select min(resource_type) from audit_logs where resource_type > n.name)
                from names n where n.name is not null
            ) select name from names where name is not null limit \(unescaped: Self.nameLimitText)
            """
        ).map { try $0.decode(String.self) }
    }

    // MARK: Conditions

    /// What an index can find.
    private static func scope(_ filter: AuditFilter) -> PostgresFragment {
        var conditions: [PostgresFragment] = []
        if let userId = filter.userId { conditions.append("a.user_id = \(userId)") }
        if let action = filter.action { conditions.append("a.action = \(action)") }
        if let type = filter.resourceType, let resourceId = filter.resourceId {
            conditions.append("a.resource_type = \(type) and a.resource_id = \(resourceId)")
        }
        if let requestId = filter.requestId { conditions.append("a.request_id = \(requestId)") }
        if let from = filter.from { conditions.append("a.created_at >= \(from)") }
        if let before = filter.before { conditions.append("a.created_at < \(before)") }
        return .joined(conditions, separator: " and ", empty: "true")
    }

    /// What has to be tried on each entry.
    private static func rest(_ filter: AuditFilter) -> PostgresFragment {
        var conditions: [PostgresFragment] = []
        switch (filter.resourceType, filter.resourceId) {
        case (let type?, nil): conditions.append("a.resource_type = \(type)")
        case (nil, let id?): conditions.append("a.resource_id = \(id)")
        default: break
        }
        if !filter.excludedResourceTypes.isEmpty {
            conditions.append("a.resource_type <> all (\(filter.excludedResourceTypes)::text[])")
        }
        if let success = filter.success { conditions.append("a.success = \(success)") }
        if let search = filter.search {
            let pattern = LikePattern.containing(search)
            conditions.append(
                """
                (a.actor ilike \(pattern) or a.action ilike \(pattern) or a.resource_type ilike \(pattern)
                    or a.resource_id ilike \(pattern) or a.error_message ilike \(pattern)
                    or a.user_id = any (array(
                        select s.id from users s where s.username ilike \(pattern) or s.email ilike \(pattern)
                        limit 1000)))
                """)
        }
        return .joined(conditions, separator: " and ", empty: "true")
    }

    private static func record(_ row: PostgresRow) throws -> AuditRecord {
        AuditRecord(
            id: try row.get("id"), createdAt: try row.get("created_at"), username: try row.get("username"),
            email: try row.get("email"), entry: try entry(row))
    }
}

/// A place in the audit log: what comes after it is older.
package struct AuditCursor: Sendable {
    let createdAt: Date
    let id: Int64
}
