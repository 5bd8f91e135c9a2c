import Foundation
import Shared

/// The SQL that finds jobs by what operators know of them, in the live table, the dead letters and the history.
/// Reads only, and each statement within a limit of its own.
struct PostgresJobSearchStore: Sendable {
    /// Up to so many rows are counted one by one.
    private static let exactLimit = 20_000
    private static let countMilliseconds = 1000
    private static let listMilliseconds = 2000

    let jobs: PostgresJobStore

    /// A query with its names turned into the numbers of the tables.
    struct Resolved: Sendable {
        var query: JobQuery
        var kindIds: [Int16]?
        var queueIds: [Int16]?
        /// Jobs that came in or failed later are left out; for bulk work.
        var asOf: Date?
    }

    /// - Throws: ``AdministrationError`` for a kind or queue that nobody knows.
    func resolve(_ query: JobQuery, in executor: any PostgresExecutor) async throws -> Resolved {
        var resolved = Resolved(query: query)
        if let names = query.kinds {
            resolved.kindIds = try await ids(of: names, field: "kind", "select id, name from job_kinds", executor)
        }
        if let names = query.queues {
            resolved.queueIds = try await ids(of: names, field: "queue", "select id, name from job_queues", executor)
        }
        return resolved
    }

    private func ids(
        of names: [String], field: String, _ table: PostgresQuery, _ executor: any PostgresExecutor
    ) async throws -> [Int16] {
        var known: [String: Int16] = [:]
        for row in try await executor.query(table) {
            let (id, name) = try row.decode(Int16.self, String.self)
            known[name] = id
        }
        return try names.map { name in
            guard let id = known[name] else {
                throw AdministrationError.invalid(
                    field, "must be one of \(known.keys.sorted().joined(separator: ", "))")
            }
            return id
        }
    }

    // MARK: Lists

    /// Up to `limit` jobs, newest first, with the error of the last attempt where they have one.
    func list(
        _ search: Resolved, beforeId: Int64?, limit: Int, in executor: any PostgresExecutor
    ) async throws -> [JobSnapshot] {
        let before = beforeId ?? .max
        let parts = sources(search).map { source -> PostgresFragment in
            """
            (\(unescaped: source.columns) from \(unescaped: source.table)
             where id < \(before) and \(source.conditions) order by id desc limit \(limit))
            """
        }
        guard !parts.isEmpty else { return [] }
        try await limitTime(Self.listMilliseconds, executor)
        let union = PostgresFragment.joined(parts, separator: " union all ")
        let rows = try await executor.query(
            "select * from (\(union)) as found order by id desc limit \(limit)")
        var found = try rows.map { try jobs.decodeSnapshot($0) }
        let failing = found.filter { $0.errors > 0 && !$0.snapshot.state.isFinal }.map(\.snapshot.id)
        if !failing.isEmpty {
            let errors = try await lastErrors(of: failing, in: executor)
            for index in found.indices where found[index].snapshot.error == nil {
                found[index].snapshot.error = errors[found[index].snapshot.id]
            }
        }
        return found.map(\.snapshot)
    }

    private func lastErrors(of ids: [Int64], in executor: any PostgresExecutor) async throws -> [Int64: JobErrorInfo] {
        let rows = try await executor.query(
            """
            select distinct on (job_id) job_id, class, code, message from job_attempts
            where job_id = any (\(ids)) order by job_id, ended_at desc
            """)
        var errors: [Int64: JobErrorInfo] = [:]
        for row in rows {
            let (id, errorClass, code, message) = try row.decode(
                Int64.self, String.self, String.self, String.self)
            errors[id] = JobErrorInfo(
                errorClass: JobErrorClass(rawValue: errorClass) ?? .retryable, code: code, message: message)
        }
        return errors
    }

    /// What only one job's report shows of its row.
    func details(
        jobId: Int64, in executor: any PostgresExecutor
    ) async throws -> (parameters: JSONValue, orderKey: String?, uniqueKey: String?, holder: JobReport.Holder?)? {
        let rows = try await executor.query(
            """
            select j.args, j.order_key, j.unique_key, w.id, w.name, w.host
            from (
                select args, order_key, unique_key, case when state = 1 then worker_id end as worker_id
                from jobs where id = \(jobId)
                union all select args, order_key, unique_key, null from job_dead_letters where id = \(jobId)
                union all select args, order_key, unique_key, null from job_history where id = \(jobId)
            ) as j left join job_workers w on w.id = j.worker_id limit 1
            """)
        guard let row = rows.first else { return nil }
        let (parameters, orderKey, uniqueKey, workerId, name, host) = try row.decode(
            JSONValue.self, String?.self, String?.self, Int32?.self, String?.self, String?.self)
        let holder = workerId.map { JobReport.Holder(id: $0, name: name ?? "", host: host ?? "") }
        return (parameters, orderKey, uniqueKey, holder)
    }

    // MARK: Counts

    /// How many jobs the search means: counted when they are few, else as the planner estimates.
    func count(_ search: Resolved, in database: PostgresClient) async throws -> CountReport {
        let parts = sources(search).map { source -> PostgresFragment in
            "select 1 from \(unescaped: source.table) where \(source.conditions)"
        }
        guard !parts.isEmpty else { return CountReport(value: 0, isExact: true) }
        let union = PostgresFragment.joined(parts, separator: " union all ")
        let estimate = try await estimate("explain (format json) \(union)", in: database)
        if estimate <= Self.exactLimit {
            do {
                let counted = try await database.withTransaction(readOnly: true) { transaction in
                    try await limitTime(Self.countMilliseconds, transaction)
                    return try await transaction.query(
                        "select count(*) from (select 1 from (\(union)) as a limit \(Self.exactLimit + 1)) as b"
                    ).first?.decode(Int.self) ?? 0
                }
                if counted <= Self.exactLimit { return CountReport(value: counted, isExact: true) }
                return CountReport(value: max(counted, estimate), isExact: false)
            } catch let error as PostgresError where error.isTimeout {
                // Few rows in a large table: the estimate is what can be had in the time.
            }
        }
        return CountReport(value: estimate, isExact: false)
    }

    private func estimate(_ explain: PostgresQuery, in executor: any PostgresExecutor) async throws -> Int {
        let plan = try await executor.query(explain).first?.decode(JSONValue.self)
        return Int(plan?[0]?["Plan"]?["Plan Rows"]?.doubleValue ?? 0)
    }

    /// What a bulk action would find, by state and by what stands in its way. Stops counting at `limit` jobs.
    func survey(
        _ search: Resolved, limit: Int, in executor: any PostgresExecutor
    ) async throws -> [(state: JobState, isProtected: Bool, isTaken: Bool, count: Int)] {
        let parts = sources(search, forBulk: true).map { source -> PostgresFragment in
            """
            select \(unescaped: source.state) as state, queue_id, \(unescaped: source.isTaken) as taken
            from \(unescaped: source.table) where \(source.conditions)
            """
        }
        guard !parts.isEmpty else { return [] }
        try await limitTime(10_000, executor)
        let union = PostgresFragment.joined(parts, separator: " union all ")
        let rows = try await executor.query(
            """
            select f.state, q.protected, f.taken, count(*)
            from (select * from (\(union)) as a limit \(limit)) as f join job_queues q on q.id = f.queue_id
            group by 1, 2, 3
            """)
        return try rows.map { row in
            let (state, isProtected, isTaken, count) = try row.decode(String.self, Bool.self, Bool.self, Int.self)
            return (JobState(rawValue: state) ?? .ready, isProtected, isTaken, count)
        }
    }

    /// The next jobs of a bulk action in the order of their ids.
    func candidates(
        _ search: Resolved, afterId: Int64, except jobId: Int64, limit: Int, in executor: any PostgresExecutor
    ) async throws -> [Int64] {
        let parts = sources(search, forBulk: true).map { source -> PostgresFragment in
            """
            (select id from \(unescaped: source.table)
             where id > \(afterId) and id <> \(jobId) and \(source.conditions) order by id limit \(limit))
            """
        }
        guard !parts.isEmpty else { return [] }
        let union = PostgresFragment.joined(parts, separator: " union all ")
        let rows = try await executor.query("select id from (\(union)) as found order by id limit \(limit)")
        return try rows.map { try $0.decode(Int64.self) }
    }

    private func limitTime(_ milliseconds: Int, _ executor: any PostgresExecutor) async throws {
        try await executor.query("select set_config('statement_timeout', \(String(milliseconds))::text, true)")
    }

    // MARK: Conditions

    private struct Source {
        let table: StaticString
        let columns: StaticString
        /// The public state of a row.
        let state: StaticString
        /// Whether the row cannot come back because another job holds its unique key.
        let isTaken: StaticString
        var conditions: PostgresFragment
    }

    /// The tables that can hold such jobs.
    private func sources(_ search: Resolved, forBulk: Bool = false) -> [Source] {
        let query = search.query
        let states = query.states.map(Set.init) ?? Set(JobState.allCases)
        var found: [Source] = []
        let hasEnded = query.finishedAfter != nil || query.finishedBefore != nil || query.discarded == true
        if !hasEnded, let condition = Self.live(states) {
            var conditions = common(search)
            conditions.append(condition)
            conditions += Self.liveErrors(query)
            found.append(
                Source(
                    table: "jobs", columns: PostgresJobStore.liveColumns, state: Self.liveState, isTaken: "false",
                    conditions: .joined(conditions, separator: " and ")))
        }
        if states.contains(.failed), query.discarded != true {
            var conditions = common(search) + Self.endedErrors(query)
            if let asOf = search.asOf { conditions.append("finished_at <= \(asOf)") }
            found.append(
                Source(
                    table: "job_dead_letters", columns: PostgresJobStore.endedColumns, state: "'failed'",
                    isTaken: """
                        (unique_key is not null and exists (select from jobs l
                            where l.unique_key = job_dead_letters.unique_key and l.state <> 1))
                        """,
                    conditions: .joined(conditions, separator: " and ")))
        }
        if !forBulk, let condition = Self.history(query, states) {
            let conditions = common(search) + Self.endedErrors(query) + [condition]
            found.append(
                Source(
                    table: "job_history", columns: PostgresJobStore.endedColumns, state: "'succeeded'",
                    isTaken: "false", conditions: .joined(conditions, separator: " and ")))
        }
        return found
    }

    /// What all three tables have columns for.
    private func common(_ search: Resolved) -> [PostgresFragment] {
        let query = search.query
        var conditions: [PostgresFragment] = ["true"]
        if let ids = query.ids { conditions.append("id = any (\(ids.map(\.value)))") }
        if let ids = search.kindIds { conditions.append("kind_id = any (\(ids))") }
        if let ids = search.queueIds { conditions.append("queue_id = any (\(ids))") }
        if let type = query.resourceType { conditions.append("resource_type = \(type)") }
        if let id = query.resourceId { conditions.append("resource_id = \(id)") }
        if let id = query.requestedBy { conditions.append("requester_id = \(id)") }
        if let time = query.createdAfter { conditions.append("created_at >= \(time)") }
        if let time = query.createdBefore { conditions.append("created_at < \(time)") }
        if let time = search.asOf { conditions.append("created_at <= \(time)") }
        return conditions
    }

    private static func pattern(_ text: String) -> String {
        "%" + text.replacing("\\", with: "\\\\").replacing("%", with: "\\%").replacing("_", with: "\\_") + "%"
    }

    private static func liveErrors(_ query: JobQuery) -> [PostgresFragment] {
        var conditions: [PostgresFragment] = []
        if let code = query.errorCode {
            conditions.append(
                """
                errors > 0 and \(code) = (select a.code from job_attempts a
                    where a.job_id = jobs.id and a.ended_at >= jobs.created_at order by a.ended_at desc limit 1)
                """)
        }
        if let text = query.text {
            let pattern = pattern(text)
            conditions.append(
                """
                (\(Self.texts(pattern)) or (errors > 0 and exists (select from job_attempts a
                    where a.job_id = jobs.id and a.ended_at >= jobs.created_at and a.message ilike \(pattern))))
                """)
        }
        return conditions
    }

    private static func endedErrors(_ query: JobQuery) -> [PostgresFragment] {
        var conditions: [PostgresFragment] = []
        if let code = query.errorCode { conditions.append("error_code = \(code)") }
        if let text = query.text {
            let pattern = pattern(text)
            conditions.append("(\(Self.texts(pattern)) or error_message ilike \(pattern))")
        }
        if let time = query.finishedAfter { conditions.append("finished_at >= \(time)") }
        if let time = query.finishedBefore { conditions.append("finished_at < \(time)") }
        return conditions
    }

    private static func texts(_ pattern: String) -> PostgresFragment {
        """
        resource_id ilike \(pattern) or request_id ilike \(pattern) or order_key ilike \(pattern)
            or unique_key ilike \(pattern) or args::text ilike \(pattern)
        """
    }

    private static func live(_ states: Set<JobState>) -> PostgresFragment? {
        let all: [(JobState, PostgresFragment)] = [
            (.ready, "state in (0, 6)"), (.running, "state = 1"),
            (.scheduled, "(state = 2 or (state = 3 and errors = 0))"),
            (.retrying, "(state = 3 and errors > 0)"), (.blocked, "state in (4, 5, 7)"),
        ]
        let wanted = all.filter { states.contains($0.0) }
        guard !wanted.isEmpty else { return nil }
        if wanted.count == all.count { return "true" }
        return "(\(PostgresFragment.joined(wanted.map(\.1), separator: " or ")))"
    }

    private static func history(_ query: JobQuery, _ states: Set<JobState>) -> PostgresFragment? {
        let discarded = query.discarded
        var outcomes: [Int16] = []
        // A success has no error.
        let isSuccess = states.contains(.succeeded) && discarded != true && query.errorCode == nil
        if isSuccess { outcomes.append(StoredState.succeeded.rawValue) }
        if states.contains(.cancelled), discarded != true { outcomes.append(StoredState.cancelled.rawValue) }
        // A failed job comes here only by being discarded.
        if states.contains(.failed), discarded != false { outcomes.append(StoredState.failed.rawValue) }
        guard !outcomes.isEmpty else { return nil }
        if isSuccess { return outcomes.count == 3 ? "true" : "outcome = any (\(outcomes))" }
        // In these words for the index of what did not succeed.
        return "outcome <> 10 and outcome = any (\(outcomes))"
    }

    static var liveState: StaticString {
        """
        case state when 0 then 'ready' when 6 then 'ready' when 1 then 'running' when 2 then 'scheduled'
            when 3 then case when errors > 0 then 'retrying' else 'scheduled' end else 'blocked' end
        """
    }
}

extension PostgresError {
    /// Whether a statement took longer than it was given.
    var isTimeout: Bool { sqlState == "57014" || code == .timeout }
}
