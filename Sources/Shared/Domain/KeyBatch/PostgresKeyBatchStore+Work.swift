package import Foundation

/// What the worker notes about a batch, and how batches are stopped and taken up again.
extension PostgresKeyBatchStore {
    /// The first keys whose jobs are still to be put in.
    package func due(of id: UUID, limit: Int, in transaction: PostgresTransaction) async throws -> [KeyBatchItem] {
        try await transaction.query(
            """
            select \(unescaped: Self.itemColumns), 'waiting' as status
            from key_batch_items i left join api_keys k on k.id = i.api_key_id
            where i.batch_id = \(id) and i.is_due order by i.ordinal limit \(limit)
            """
        ).map(Self.item)
    }

    /// Notes the key of an item, whose job is put in by the same transaction.
    package func noteMade(
        _ ordinal: Int, of id: UUID, keyId: UUID, userId: UUID, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update key_batch_items set is_due = false, error = null, api_key_id = \(keyId), user_id = \(userId)
            where batch_id = \(id) and ordinal = \(Int32(clamping: ordinal))
            """)
    }

    /// Notes why an item's key was not made.
    package func noteFailed(
        _ ordinal: Int, of id: UUID, _ error: KeyBatchError, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update key_batch_items set is_due = false, error = \(try Self.json(error))
            where batch_id = \(id) and ordinal = \(Int32(clamping: ordinal))
            """)
    }

    /// Lets keys that are still to be made end then, unless they last longer already.
    package func extend(_ id: UUID, to expiresAt: Date, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update key_batches set expires_at = greatest(expires_at, \(expiresAt))
            where id = \(id) and expires_at is not null
            """)
    }

    /// Gives up what is still to be made, for the transaction that ends the batch's job without success.
    package func giveUp(_ id: UUID, _ error: KeyBatchError, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update key_batch_items set is_due = false, error = \(try Self.json(error))
            where batch_id = \(id) and is_due
            """)
    }

    /// Takes up again what a job gave up, for the transaction that brings the job back.
    package func takeUp(_ id: UUID, givenUpBy jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update key_batch_items set is_due = true, error = null
            where batch_id = \(id) and not is_due and (error ->> 'jobId')::bigint = \(jobId)
                and exists (select from key_batches b where b.id = batch_id and b.cancelled_at is null)
            """)
    }

    /// Takes up again what failed, whether the key was refused or LiteLLM never had it. Gives how many.
    package func retryFailed(of id: UUID, in transaction: PostgresTransaction) async throws -> Int {
        try await transaction.query(
            """
            update key_batch_items i set is_due = true, error = null
            where i.batch_id = \(id) and not i.is_due and (
                (i.api_key_id is null and i.error is not null)
                or exists (
                    select from api_keys k where k.id = i.api_key_id and k.is_active and k.sync_status = 'failed'
                        and k.version_applied = 0))
            """
        ).affectedRows
    }

    /// Stops a batch: what is not made stays unmade.
    package func cancel(_ id: UUID, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            "update key_batches set cancelled_at = coalesce(cancelled_at, now()) where id = \(id)")
        try await transaction.query("update key_batch_items set is_due = false where batch_id = \(id) and is_due")
    }

    // MARK: What is not made

    /// How many keys of a selection are still to be made.
    package func countWaiting(_ selection: KeySelection, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query(
            """
            select count(*) from key_batches b join key_batch_items i on i.batch_id = b.id
            where \(Self.matches(selection)) and i.is_due and i.api_key_id is null
            """
        ).one(Int.self)
    }

    /// Batches with keys of a selection that may still be made: they wait, or can be tried again. In the order in which
    /// they are to be locked.
    package func unmade(_ selection: KeySelection, in transaction: PostgresTransaction) async throws -> [UUID] {
        try await transaction.query(
            """
            select b.id from key_batches b
            where \(Self.matches(selection)) and exists (
                select from key_batch_items i
                where i.batch_id = b.id and i.api_key_id is null and (i.is_due or i.error is not null))
            order by b.id
            """
        ).map { try $0.decode(UUID.self) }
    }

    private static func matches(_ selection: KeySelection) -> PostgresFragment {
        guard let batchId = selection.batchId else {
            return "b.cancelled_at is null and \(selection.labelled("b.labels"))"
        }
        return "b.cancelled_at is null and b.id = \(batchId)"
    }

    /// Whether a key that is to be made is for somebody whom nobody knows yet.
    package func hasNewcomers(_ id: UUID, in transaction: PostgresTransaction) async throws -> Bool {
        try await transaction.query(
            """
            select exists (
                select from key_batch_items i
                where i.batch_id = \(id) and i.is_due and i.user_id is null
                    and not exists (select from users u where lower(u.email) = lower(i.email)))
            """
        ).one(Bool.self)
    }

    // MARK: Retention

    /// Locks batches that were asked for so many days ago, after an id, by id; those that somebody changes are left out.
    package func lockOld(
        days: Int, after id: UUID?, limit: Int, in transaction: PostgresTransaction
    ) async throws -> [UUID] {
        try await transaction.query(
            """
            select id from key_batches
            where created_at < now() - \(days) * interval '1 day' and (\(id)::uuid is null or id > \(id)::uuid)
            order by id limit \(limit) for update skip locked
            """
        ).map { try $0.decode(UUID.self) }
    }

    /// Deletes those of the locked batches that have ended and of which no secret is kept for whoever asked. Their keys
    /// stay. Gives how many.
    package func deleteEnded(_ ids: [UUID], in transaction: PostgresTransaction) async throws -> Int {
        try await transaction.query(
            """
            delete from key_batches b where b.id = any (\(ids)) and not exists (
                select from key_batch_items i left join api_keys k on k.id = i.api_key_id
                where i.batch_id = b.id and (
                    i.is_due and b.cancelled_at is null or \(unescaped: Self.status) = 'creating'
                    or exists (
                        select from sealed_secrets s
                        where s.purpose = 'api_key.batch' and s.row_id = k.key_hash and s.delete_after > now())))
            """
        ).affectedRows
    }

    // MARK: People

    /// Users with one of these names or addresses, ignoring case.
    package func usersKnown(
        as usernames: [String], _ emails: [String], in executor: any PostgresExecutor
    ) async throws -> [User] {
        try await executor.query(
            """
            select \(unescaped: PostgresUserStore.columns) from users
            where lower(username) = any (\(usernames.map { $0.lowercased() }))
                or lower(email) = any (\(emails.map { $0.lowercased() }))
            """
        ).map(PostgresUserStore.user)
    }

    /// Those of the users who are in the team.
    package func members(
        of teamId: UUID, among ids: [UUID], in executor: any PostgresExecutor
    ) async throws -> Set<UUID> {
        Set(
            try await executor.query(
                "select user_id from team_members where team_id = \(teamId) and user_id = any (\(ids))"
            ).map { try $0.decode(UUID.self) })
    }
}
