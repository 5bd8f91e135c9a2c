import Foundation
package import Shared

extension PostgresDriftStore {
    // MARK: Jobs

    /// Whether a job is on its way for an object, or about to be: LiteLLM need not agree yet. One that is due later
    /// does not count.
    func isBusy(_ orderKey: String, in executor: any PostgresExecutor) async throws -> Bool {
        try await !executor.query("select from jobs where order_key = \(orderKey) and state <> 2 limit 1").isEmpty
    }

    /// The live job of a kind with exactly these parameters. The kind stays locked until the transaction ends, so that
    /// of two requests at once the second one finds the first one's.
    func live(kind: String, args: JSONValue, in transaction: PostgresTransaction) async throws -> Int64? {
        try await transaction.query("select id from job_kinds where name = \(kind) for no key update")
        return try await transaction.query(
            """
            select j.id from jobs j join job_kinds k on k.id = j.kind_id
            where k.name = \(kind) and j.args = \(args) order by j.id limit 1
            """
        ).first?.decode(Int64.self)
    }

    // MARK: Findings

    /// Writes down what a walk has found; what is known already lasts. A repair whose job is gone counts as none.
    func record(
        _ observations: [DriftObservation], of object: DriftObject, _ objectId: String, walk: Int64,
        in transaction: PostgresTransaction
    ) async throws {
        for seen in observations {
            try await transaction.query(
                """
                insert into drift_findings as f (
                    reconciliation_id, object_type, object_id, litellm_id, name, kind, field, wanted, found)
                values (
                    \(walk), \(object.rawValue), \(objectId), \(seen.litellmId), \(seen.name), \(seen.kind.rawValue),
                    \(seen.field), \(seen.wanted), \(seen.found))
                on conflict (object_type, object_id, kind, field) where state in ('open', 'repairing', 'ignored')
                do update set reconciliation_id = excluded.reconciliation_id, litellm_id = excluded.litellm_id,
                    name = excluded.name, wanted = excluded.wanted, found = excluded.found,
                    last_seen_at = clock_timestamp(),
                    state = case when f.state = 'repairing'
                        and not exists (select from jobs j where j.id = f.job_id) then 'open' else f.state end,
                    settling_since = case when exists (select from jobs j where j.id = f.job_id)
                        then f.settling_since end,
                    security_job_id = case when exists (select from jobs j where j.id = f.job_id)
                        then f.security_job_id end
                """)
        }
    }

    /// Leaves an object's findings as they are: nothing can be said about it now.
    func keep(
        _ object: DriftObject, _ objectId: String, walk: Int64, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update drift_findings set reconciliation_id = \(walk)
            where object_type = \(object.rawValue) and object_id = \(objectId)
                and state in ('open', 'repairing', 'ignored')
            """)
    }

    /// Closes what the walk has not found again.
    func close(
        _ object: DriftObject, kinds: [DriftKind], walk: Int64, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update drift_findings f set state = 'gone'
            where object_type = \(object.rawValue) and kind = any (\(kinds.map(\.rawValue)))
                and reconciliation_id <> \(walk) and state in ('open', 'repairing', 'ignored')
                and not (state = 'repairing' and exists (select from jobs j where j.id = f.job_id))
            """)
    }

    /// The next objects with open findings of these kinds that this walk has seen and that nothing was decided about
    /// since. Without a row here only keys can be set right. A repair sets all that differs of an object right, so objects
    /// of which something is ignored are left out.
    func undecided(
        kinds: [DriftKind], walk: Int64, limit: Int, in transaction: PostgresTransaction
    ) async throws -> [DriftSubject] {
        try await transaction.query(
            """
            select distinct object_type, object_id, kind from drift_findings f
            where reconciliation_id = \(walk) and state = 'open' and kind = any (\(kinds.map(\.rawValue)))
                and (kind <> 'unknown' or object_type = 'key')
                and last_seen_at >= (select started_at from reconciliations where id = \(walk))
                and (decided_at is null or decided_at < (select walked_at from reconciliations where id = \(walk)))
                and not exists (
                    select from drift_findings i where i.state = 'ignored' and i.object_type = f.object_type
                        and i.object_id = f.object_id and i.kind = f.kind)
            order by 1, 2, 3 limit \(limit)
            """
        ).map { row in
            DriftSubject(
                object: try row.get("object_type"), id: try row.get("object_id"), kind: try row.get("kind"))
        }
    }

    /// The lasting findings of one kind about an object, locked.
    func lasting(_ subject: DriftSubject, in transaction: PostgresTransaction) async throws -> [DriftFinding] {
        try await transaction.query(
            """
            select \(unescaped: Self.columns) from drift_findings
            where object_type = \(subject.object.rawValue) and object_id = \(subject.id)
                and kind = \(subject.kind.rawValue) and state in ('open', 'repairing', 'ignored')
            order by id for update
            """
        ).map(DriftFinding.init(row:))
    }

    /// Notes that a job is at work on the lasting findings of one kind about an object. Nil when there are none.
    ///
    /// - Parameter patience: how long it may wait for others.
    func settle(
        _ subject: DriftSubject, job: Int64, patience: Duration, in transaction: PostgresTransaction
    ) async throws -> DriftSettling? {
        let rows = try await transaction.query(
            """
            update drift_findings set state = 'repairing', job_id = \(job),
                settling_since = coalesce(settling_since, clock_timestamp())
            where object_type = \(subject.object.rawValue) and object_id = \(subject.id)
                and kind = \(subject.kind.rawValue) and state in ('open', 'repairing', 'ignored')
            returning litellm_id, security_job_id, exists (select from jobs j where j.id = security_job_id),
                settling_since < clock_timestamp() - make_interval(secs => \(patience.inSeconds))
            """
        ).map { try $0.decode(String?.self, Int64?.self, Bool.self, Bool.self) }
        guard !rows.isEmpty else { return nil }
        return DriftSettling(
            litellmIds: Set(rows.compactMap(\.0)), isRefusing: rows.contains { $0.1 != nil },
            isSecurityJobLive: rows.contains(where: \.2), isOverdue: rows.contains(where: \.3))
    }

    /// Notes which job in the queue security is waited for.
    func noteSecurityJob(_ jobId: Int64, _ subject: DriftSubject, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update drift_findings set security_job_id = \(jobId)
            where object_type = \(subject.object.rawValue) and object_id = \(subject.id)
                and kind = \(subject.kind.rawValue) and state = 'repairing'
            """)
    }

    /// Moves the lasting findings of one kind about an object.
    func move(
        _ subject: DriftSubject, to state: DriftState, job: Int64?, by actor: String?,
        in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update drift_findings set state = \(state.rawValue), job_id = coalesce(\(job)::bigint, job_id),
                settling_since = case when \(state.rawValue) = 'repairing' then settling_since end,
                security_job_id = case when \(state.rawValue) = 'repairing' then security_job_id end,
                decided_by = coalesce(\(actor)::text, decided_by),
                decided_at = case when \(actor)::text is null then decided_at else clock_timestamp() end
            where object_type = \(subject.object.rawValue) and object_id = \(subject.id)
                and kind = \(subject.kind.rawValue) and state in ('open', 'repairing', 'ignored')
            """)
    }

    /// The finding, locked.
    func lock(_ id: Int64, in transaction: PostgresTransaction) async throws -> DriftFinding? {
        try await transaction.query(
            "select \(unescaped: Self.columns) from drift_findings where id = \(id) for update"
        ).first.map(DriftFinding.init(row:))
    }

    /// The finding.
    package func find(_ id: Int64, in executor: any PostgresExecutor) async throws -> DriftFinding? {
        try await executor.query("select \(unescaped: Self.columns) from drift_findings where id = \(id)")
            .first.map(DriftFinding.init(row:))
    }

    /// One page of findings, the newest look first.
    package func list(_ filter: DriftFilter, in executor: any PostgresExecutor) async throws -> Page<DriftFinding> {
        let objects = (filter.objects.isEmpty ? DriftObject.allCases : filter.objects).map(\.rawValue)
        let kinds = (filter.kinds.isEmpty ? DriftKind.allCases : filter.kinds).map(\.rawValue)
        let states = (filter.states.isEmpty ? DriftState.allCases : filter.states).map(\.rawValue)
        let walk = filter.reconciliationId
        let condition: PostgresFragment = """
            object_type = any (\(objects)) and kind = any (\(kinds)) and state = any (\(states))
                and (\(walk)::bigint is null or reconciliation_id = \(walk)::bigint)
            """
        let rows = try await executor.query(
            """
            select \(unescaped: Self.columns) from drift_findings where \(condition)
            order by last_seen_at desc, id limit \(filter.page.size) offset \(filter.page.offset)
            """)
        let total = try await executor.query("select count(*) from drift_findings where \(condition)").one(Int.self)
        return Page(items: try rows.map(DriftFinding.init(row:)), total: total)
    }

    private static let columns: StaticString = """
        id, reconciliation_id, object_type, object_id, litellm_id, name, kind, field, wanted, found, state,
        first_seen_at, last_seen_at, decided_at, decided_by, job_id
        """
}

/// How far the job is that sets findings right.
struct DriftSettling: Sendable {
    var litellmIds: Set<String>
    /// Whether it has put in a job in the queue security, and whether that is still there.
    var isRefusing: Bool
    var isSecurityJobLive: Bool
    /// Whether it has been at work for longer than it may wait for others.
    var isOverdue: Bool
}
