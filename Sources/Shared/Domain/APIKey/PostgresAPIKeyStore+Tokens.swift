package import Foundation

/// The secrets of keys, in `api_key_hashes`.
extension PostgresAPIKeyStore {
    /// Every secret of the key that LiteLLM may still have, oldest first.
    package func tokens(of id: UUID, in executor: any PostgresExecutor) async throws -> [APIKeyToken] {
        try await executor.query(
            """
            select \(unescaped: Self.tokenColumns)
            from api_key_hashes h join api_keys k on k.id = h.api_key_id
            where h.api_key_id = \(id) and h.gone_at is null order by h.created_at, h.key_hash
            """
        ).map(Self.token)
    }

    /// The secret with this hash, unless LiteLLM was seen to have let it go for good.
    package func token(_ hash: String, in executor: any PostgresExecutor) async throws -> APIKeyToken? {
        try await executor.query(
            """
            select \(unescaped: Self.tokenColumns)
            from api_key_hashes h join api_keys k on k.id = h.api_key_id
            where h.key_hash = \(hash) and h.gone_at is null
            """
        ).first.map(Self.token)
    }

    /// How many secrets the key ever had.
    package func tokenCount(of id: UUID, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query("select count(*) from api_key_hashes where api_key_id = \(id)").one(Int.self)
    }

    /// Stores a secret that is to become the key's. Throws a unique violation when there is one already.
    package func insertNext(
        _ hash: String, prefix: String, alias: String, of id: UUID, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            insert into api_key_hashes (key_hash, api_key_id, litellm_alias, key_prefix, role)
            values (\(hash), \(id), \(alias), \(prefix), 'next')
            """)
    }

    /// Notes that an attempt to create this secret's key may reach LiteLLM during the next `time`. Gives the database's
    /// present time; nil, and nothing noted, when it is no longer wanted: then it must not be sent.
    package func beginRotation(
        _ hash: String, within time: Duration, in transaction: PostgresTransaction
    ) async throws -> Date? {
        try await transaction.query(
            """
            update api_key_hashes h set create_deadline_at = greatest(
                h.create_deadline_at, clock_timestamp() + make_interval(secs => \(time.inSeconds)))
            from api_keys k
            where h.key_hash = \(hash) and k.id = h.api_key_id and k.is_active and h.role = 'next'
                and h.retire_at is null and h.gone_at is null
            returning clock_timestamp() as now
            """
        ).first?.get("now")
    }

    /// Makes the next secret the key's own; the one before it works for another `grace`. Gives the hash of that one and
    /// when it is to be refused; nil when `hash` is not the next one any more.
    package func swap(
        to hash: String, of id: UUID, grace: Duration, in transaction: PostgresTransaction
    ) async throws -> (hash: String, retireAt: Date)? {
        guard
            let old = try await transaction.query(
                """
                update api_key_hashes h set role = 'old', create_deadline_at = k.create_deadline_at,
                    retire_at = clock_timestamp() + make_interval(secs => \(grace.inSeconds))
                from api_keys k
                where h.api_key_id = \(id) and h.role = 'current' and k.id = h.api_key_id and k.is_active and exists (
                    select from api_key_hashes n where n.key_hash = \(hash) and n.api_key_id = \(id)
                        and n.role = 'next' and n.retire_at is null and n.gone_at is null)
                returning h.key_hash, h.retire_at
                """
            ).first?.decode(String.self, Date.self)
        else { return nil }
        try await transaction.query(
            """
            with next as (
                update api_key_hashes set role = 'current' where key_hash = \(hash)
                returning key_hash, key_prefix, litellm_alias, create_deadline_at
            )
            update api_keys k set key_hash = next.key_hash, key_prefix = next.key_prefix,
                litellm_alias = next.litellm_alias, create_deadline_at = next.create_deadline_at,
                rotated_at = clock_timestamp(), updated_at = now()
            from next where k.id = \(id)
            """)
        return (old.0, old.1)
    }

    /// Ends the grace of the secrets before `hash`; gives those that had any left.
    package func endGrace(of id: UUID, except hash: String, in transaction: PostgresTransaction) async throws
        -> [String]
    {
        try await transaction.query(
            """
            update api_key_hashes set retire_at = clock_timestamp()
            where api_key_id = \(id) and role = 'old' and key_hash <> \(hash) and gone_at is null
                and retire_at > clock_timestamp()
            returning key_hash
            """
        ).map { try $0.decode(String.self) }
    }

    /// Gives the next secret up: it is to be refused from now on. False when it was given up, or swapped in, before.
    package func giveUpNext(_ hash: String, in transaction: PostgresTransaction) async throws -> Bool {
        try await transaction.query(
            """
            update api_key_hashes set retire_at = clock_timestamp(), role = 'old'
            where key_hash = \(hash) and role = 'next' and retire_at is null
            """
        ).affectedRows > 0
    }

    /// Notes that LiteLLM was read back and does not have this secret any more, nor can it come back.
    package func markGone(_ hash: String, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            "update api_key_hashes set gone_at = coalesce(gone_at, clock_timestamp()) where key_hash = \(hash)")
    }

    static let tokenColumns: StaticString = """
        h.key_hash, h.litellm_alias, h.key_prefix, h.role, h.retire_at, clock_timestamp() as now,
        case when h.role = 'current' then k.create_deadline_at else h.create_deadline_at end as create_deadline_at
        """

    static func token(_ row: PostgresRow) throws(PostgresError) -> APIKeyToken {
        APIKeyToken(
            hash: try row.get("key_hash"), alias: try row.get("litellm_alias"), prefix: try row.get("key_prefix"),
            role: try row.get("role"), retireAt: try row.get("retire_at"),
            window: CreateWindow(deadline: try row.get("create_deadline_at"), now: try row.get("now")))
    }
}
