/// The table `audit_logs`, which is append only.
package struct PostgresAuditStore: Sendable {
    /// A store without state.
    package init() {}

    /// Appends an entry.
    package func append(_ entry: AuditEntry, in executor: any PostgresExecutor) async throws {
        try await executor.query(appendQuery(entry))
    }

    /// The statement of ``append(_:in:)``, for a pipeline.
    package func appendQuery(_ entry: AuditEntry) -> PostgresQuery {
        """
        insert into audit_logs (
            user_id, actor, action, resource_type, resource_id, old_values, new_values, ip_address, user_agent,
            request_id, job_id, success, error_message, metadata)
        values (
            \(entry.actor.userId), \(entry.actor.name), \(entry.action), \(entry.resourceType), \(entry.resourceId),
            \(entry.oldValues), \(entry.newValues), \(entry.actor.ipAddress), \(entry.actor.userAgent),
            \(entry.actor.requestId), \(entry.jobId), \(entry.success), \(entry.errorMessage), \(entry.metadata))
        """
    }

    /// Appends what became of something that a request asked for earlier: who asked, from where and with which client
    /// is taken over from the first entry of that request by the same user.
    package func appendOutcome(_ entry: AuditEntry, in executor: any PostgresExecutor) async throws {
        try await executor.query(appendOutcomeQuery(entry))
    }

    /// The statement of ``appendOutcome(_:in:)``, for a pipeline.
    package func appendOutcomeQuery(_ entry: AuditEntry) -> PostgresQuery {
        """
        insert into audit_logs (
            user_id, actor, action, resource_type, resource_id, old_values, new_values, ip_address, user_agent,
            request_id, job_id, success, error_message, metadata)
        select \(entry.actor.userId)::uuid, coalesce(r.actor, \(entry.actor.name)::text), \(entry.action)::text,
            \(entry.resourceType)::text, \(entry.resourceId)::text, \(entry.oldValues)::jsonb,
            \(entry.newValues)::jsonb, r.ip_address, r.user_agent, \(entry.actor.requestId)::text,
            \(entry.jobId)::bigint, \(entry.success)::boolean, \(entry.errorMessage)::text,
            \(entry.metadata)::jsonb
        from (select 1) as one left join lateral (
            select a.actor, a.ip_address, a.user_agent from audit_logs a
            where a.request_id = \(entry.actor.requestId)::text and a.success
                and a.user_id is not distinct from \(entry.actor.userId)::uuid
            order by a.ip_address is null, a.created_at limit 1
        ) r on true
        """
    }

    /// The newest entries about one resource, newest first.
    package func entries(
        resourceType: String, resourceId: String, limit: Int, in executor: any PostgresExecutor
    ) async throws -> [AuditEntry] {
        try await executor.query(
            """
            select user_id, actor, action, resource_type, resource_id, old_values, new_values, ip_address,
                user_agent, request_id, job_id, success, error_message, metadata
            from audit_logs where resource_type = \(resourceType) and resource_id = \(resourceId)
            order by created_at desc, id desc limit \(limit)
            """
        ).map(Self.entry)
    }

    static func entry(_ row: PostgresRow) throws(PostgresError) -> AuditEntry {
        AuditEntry(
            actor: AuditActor(
                userId: try row.get("user_id"), name: try row.get("actor"), ipAddress: try row.get("ip_address"),
                userAgent: try row.get("user_agent"), requestId: try row.get("request_id")),
            action: try row.get("action"), resourceType: try row.get("resource_type"),
            resourceId: try row.get("resource_id"), oldValues: try row.get("old_values"),
            newValues: try row.get("new_values"), jobId: try row.get("job_id"), success: try row.get("success"),
            errorMessage: try row.get("error_message"), metadata: try row.get("metadata"))
    }
}
