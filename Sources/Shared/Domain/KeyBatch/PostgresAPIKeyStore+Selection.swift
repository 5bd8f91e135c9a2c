package import Foundation

/// Live keys by batch or label.
extension PostgresAPIKeyStore {
    /// The keys of a selection after an id, by id.
    package func selected(
        _ selection: KeySelection, after id: UUID?, limit: Int, in executor: any PostgresExecutor
    ) async throws -> [UUID] {
        try await executor.query(
            """
            select k.id from api_keys k
            where \(Self.matches(selection)) and (\(id)::uuid is null or k.id > \(id)::uuid)
            order by k.id limit \(limit)
            """
        ).map { try $0.decode(UUID.self) }
    }

    /// How many keys a selection means.
    package func count(_ selection: KeySelection, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query("select count(*) from api_keys k where \(Self.matches(selection))")
            .one(Int.self)
    }

    private static func matches(_ selection: KeySelection) -> PostgresFragment {
        guard let batchId = selection.batchId else {
            let asOf = selection.asOf
            // The second condition lets the partial index serve.
            return """
                k.is_active and k.labels <> '{}' and (\(asOf)::timestamptz is null or k.created_at <= \(asOf)::timestamptz)
                and \(selection.labelled("k.labels"))
                """
        }
        return """
            k.is_active and k.id in (select i.api_key_id from key_batch_items i where i.batch_id = \(batchId))
            """
    }
}

extension KeySelection {
    /// Whether this column holds all, or any, of the labels.
    func labelled(_ column: StaticString) -> PostgresFragment {
        """
        case when \(match == .all) then \(unescaped: column) @> \(labels)::text[]
            else \(unescaped: column) && \(labels)::text[] end
        """
    }
}
