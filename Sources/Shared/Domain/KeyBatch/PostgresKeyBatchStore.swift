package import Foundation

/// The tables `key_batches` and `key_batch_items`.
package struct PostgresKeyBatchStore: Sendable {
    /// A store without state.
    package init() {}

    // MARK: Making

    /// Stores a batch with its items. Nil when its requester has one of this name: one that is being stored at this
    /// moment is waited for.
    package func insert(_ new: NewKeyBatch, in transaction: PostgresTransaction) async throws -> KeyBatch? {
        let rows = try await transaction.query(
            """
            insert into key_batches (
                id, name, requester, requester_name, requested_by, person_behind, template, expires_at, labels,
                subscribes, newcomers, people_digest, total)
            values (
                \(new.id), \(new.name), \(new.requester), \(new.requesterName), \(new.requestedBy),
                \(new.personBehind), \(try Self.json(new.template)), \(new.expiresAt), \(new.labels),
                \(new.subscribes), \(try Self.json(new.newcomers)), \(new.peopleDigest), \(new.items.count))
            on conflict (requester, lower(name)) do nothing
            returning \(unescaped: Self.columns)
            """)
        guard let row = rows.first else { return nil }
        try await transaction.query(
            """
            insert into key_batch_items (batch_id, ordinal, user_id, username, email, full_name, key_name)
            select \(new.id), n, u::uuid, name, mail, full_name, key_name
            from unnest(
                \(new.items.map { $0.userId?.text })::text[], \(new.items.map(\.username))::text[],
                \(new.items.map(\.email))::text[], \(new.items.map(\.fullName))::text[],
                \(new.items.map(\.keyName))::text[]
            ) with ordinality as t (u, name, mail, full_name, key_name, n)
            """)
        return try Self.batch(row)
    }

    /// Notes the job that makes the keys.
    package func setJob(_ jobId: Int64, of id: UUID, in transaction: PostgresTransaction) async throws {
        try await transaction.query("update key_batches set job_id = \(jobId) where id = \(id)")
    }

    // MARK: Reading

    /// The batch with this id.
    package func find(_ id: UUID, in executor: any PostgresExecutor) async throws -> KeyBatch? {
        try await executor.query("select \(unescaped: Self.columns) from key_batches where id = \(id)")
            .first.map(Self.batch)
    }

    /// The requester's batch of this name, ignoring case.
    package func find(
        name: String, of requester: String, in executor: any PostgresExecutor
    ) async throws -> KeyBatch? {
        try await executor.query(
            """
            select \(unescaped: Self.columns) from key_batches
            where requester = \(requester) and lower(name) = lower(\(name))
            """
        ).first.map(Self.batch)
    }

    /// Reads and locks the row until the transaction ends: nobody else makes its keys, or stops it, meanwhile.
    package func lock(_ id: UUID, in transaction: PostgresTransaction) async throws -> KeyBatch? {
        try await transaction.query("select \(unescaped: Self.columns) from key_batches where id = \(id) for update")
            .first.map(Self.batch)
    }

    /// A page of batches, newest first: all, or those of this name, ignoring case.
    package func list(
        named name: String? = nil, _ page: PageRequest, in executor: any PostgresExecutor
    ) async throws -> Page<KeyBatch> {
        let matches: PostgresFragment = "(\(name)::text is null or lower(name) = lower(\(name)::text))"
        let rows = try await executor.query(
            """
            select \(unescaped: Self.columns) from key_batches where \(matches) order by created_at desc, id
            limit \(page.size) offset \(page.offset)
            """)
        let total = try await executor.query("select count(*) from key_batches where \(matches)").one(Int.self)
        return Page(items: try rows.map(Self.batch), total: total)
    }

    /// How many keys of each of these batches are how far.
    package func counts(of ids: [UUID], in executor: any PostgresExecutor) async throws -> [UUID: KeyBatchCounts] {
        let rows = try await executor.query(
            """
            select i.batch_id, \(unescaped: Self.status) as status, count(*)
            from key_batch_items i left join api_keys k on k.id = i.api_key_id
            where i.batch_id = any (\(ids)) group by 1, 2
            """)
        var counts: [UUID: [KeyBatchItemStatus: Int]] = [:]
        for row in rows {
            let (id, status, count) = try row.decode(UUID.self, KeyBatchItemStatus.self, Int.self)
            counts[id, default: [:]][status] = count
        }
        return counts.mapValues(KeyBatchCounts.init)
    }

    /// A page of a batch's keys, by number.
    package func items(
        of id: UUID, status: KeyBatchItemStatus?, _ page: PageRequest, in executor: any PostgresExecutor
    ) async throws -> Page<KeyBatchItem> {
        let matches: PostgresFragment = """
            i.batch_id = \(id)
            and (\(status)::text is null or \(unescaped: Self.status) = \(status)::text)
            """
        let rows = try await executor.query(
            """
            select \(unescaped: Self.itemColumns), \(unescaped: Self.status) as status
            from key_batch_items i left join api_keys k on k.id = i.api_key_id
            where \(matches) order by i.ordinal limit \(page.size) offset \(page.offset)
            """)
        let total = try await executor.query(
            """
            select count(*) from key_batch_items i left join api_keys k on k.id = i.api_key_id
            where \(matches)
            """
        ).one(Int.self)
        return Page(items: try rows.map(Self.item), total: total)
    }

    /// A batch's keys after a number, by number.
    package func items(
        of id: UUID, after ordinal: Int, limit: Int, in executor: any PostgresExecutor
    ) async throws -> [KeyBatchItem] {
        try await executor.query(
            """
            select \(unescaped: Self.itemColumns), \(unescaped: Self.status) as status
            from key_batch_items i left join api_keys k on k.id = i.api_key_id
            where i.batch_id = \(id) and i.ordinal > \(Int32(clamping: ordinal)) order by i.ordinal limit \(limit)
            """
        ).map(Self.item)
    }

    /// How many keys of a batch work, and of how many of those the secrets are kept for whoever asked.
    package func keptSecrets(
        of id: UUID, in executor: any PostgresExecutor
    ) async throws -> (working: Int, kept: Int) {
        try await executor.query(
            """
            select count(*), count(s.row_id) from key_batch_items i join api_keys k on k.id = i.api_key_id
            left join sealed_secrets s
                on s.purpose = 'api_key.batch' and s.row_id = k.key_hash and s.delete_after > now()
            where i.batch_id = \(id) and \(unescaped: Self.status) = 'ready'
            """
        ).one(Int.self, Int.self)
    }

    // MARK: Rows

    private static let columns: StaticString = """
        id, name, requester, requester_name, requested_by, person_behind, template, expires_at, labels, subscribes,
        newcomers, people_digest, total, job_id, cancelled_at, created_at, (
            select max(s.delete_after) from key_batch_items i join api_keys k on k.id = i.api_key_id
            join sealed_secrets s on s.purpose = 'api_key.batch' and s.row_id = k.key_hash
            where i.batch_id = key_batches.id and k.version_applied > 0
        ) as results_until
        """

    static let status: StaticString = """
        case when i.is_due then 'waiting'
            when i.api_key_id is null then case when i.error is null then 'cancelled' else 'failed' end
            when not k.is_active then case when k.revoked_at is null then 'revoking' else 'revoked' end
            when k.version_applied = 0 then case when k.sync_status = 'failed' then 'failed' else 'creating' end
            when k.expires_at <= now() then 'expired'
            else 'ready' end
        """

    static let itemColumns: StaticString = """
        i.ordinal, i.user_id, i.username, i.email, i.full_name, i.key_name, i.api_key_id, i.error,
        k.sync_error, k.last_job_id, k.key_hash, k.key_prefix, k.litellm_alias, k.expires_at
        """

    /// As a jsonb column takes it.
    static func json(_ value: some Encodable) throws -> PostgresJSON {
        PostgresJSON(String(decoding: try JSON.encoder.encode(value), as: UTF8.self))
    }

    private static func value<Value: Decodable>(_ type: Value.Type, _ json: PostgresJSON) throws -> Value {
        try JSON.decoder.decode(type, from: Data(json.text.utf8))
    }

    private static func batch(_ row: PostgresRow) throws -> KeyBatch {
        return KeyBatch(
            id: try row.get("id"), name: try row.get("name"), requester: try row.get("requester"),
            requesterName: try row.get("requester_name"), requestedBy: try row.get("requested_by"),
            personBehind: try row.get("person_behind"), template: try value(KeyBatchTemplate.self, row.get("template")),
            expiresAt: try row.get("expires_at"), labels: try row.get("labels"),
            subscribes: try row.get("subscribes"), newcomers: try value(KeyBatchNewcomers.self, row.get("newcomers")),
            peopleDigest: try row.get("people_digest"), total: try row.get("total"), jobId: try row.get("job_id"),
            resultsUntil: try row.get("results_until"), cancelledAt: try row.get("cancelled_at"),
            createdAt: try row.get("created_at"))
    }

    static func item(_ row: PostgresRow) throws -> KeyBatchItem {
        let status: KeyBatchItemStatus = try row.get("status")
        let error: PostgresJSON? = try row.get("error")
        let syncError = SyncError(json: try row.get("sync_error"))
        let hash: String? = try row.get("key_hash")
        var key: KeyBatchItem.Key?
        if let hash {
            key = KeyBatchItem.Key(
                hash: hash, prefix: try row.get("key_prefix"), alias: try row.get("litellm_alias"),
                expiresAt: try row.get("expires_at"))
        }
        let failure =
            try error.map { try value(KeyBatchError.self, $0) }
            ?? syncError.map { KeyBatchError(code: $0.code, message: $0.message) }
        return KeyBatchItem(
            ordinal: try row.get("ordinal"), userId: try row.get("user_id"), username: try row.get("username"),
            email: try row.get("email"), fullName: try row.get("full_name"), keyName: try row.get("key_name"),
            keyId: try row.get("api_key_id"), status: status, error: status == .failed ? failure : nil,
            jobId: try row.get("last_job_id"), key: key)
    }
}
