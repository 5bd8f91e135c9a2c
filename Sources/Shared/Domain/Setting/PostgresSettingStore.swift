import Foundation

/// The table `system_settings`.
package struct PostgresSettingStore: Sendable {
    /// A store without state.
    package init() {}

    /// What is set; nil when nobody has set it.
    package func get<Setting: StoredSetting>(
        _ type: Setting.Type = Setting.self, in executor: any PostgresExecutor
    ) async throws -> Setting? {
        // As text: a jsonb number read by way of a double would lose digits of amounts.
        let rows = try await executor.query(
            "select value::text as value from system_settings where key = \(Setting.key)")
        guard let text = try rows.first?.get("value", as: String.self) else { return nil }
        return try JSON.decoder.decode(type, from: Data(text.utf8))
    }

    /// Sets it, for everybody from the commit on.
    ///
    /// - Returns: what was set before; nil when nothing was.
    package func put<Setting: StoredSetting>(
        _ setting: Setting, by person: String, in transaction: PostgresTransaction
    ) async throws -> Setting? {
        // Before the first one there is no row to lock. A statement of its own: the next one's snapshot is taken after.
        try await transaction.query(
            "select pg_advisory_xact_lock(hashtextextended('system_settings.' || \(Setting.key)::text, 0))")
        let before = try await get(Setting.self, in: transaction)
        let document = String(decoding: try JSON.encoder.encode(setting), as: UTF8.self)
        try await transaction.query(
            """
            insert into system_settings (key, value, updated_by)
            values (\(Setting.key), \(document)::text::jsonb, \(person))
            on conflict (key) do update
                set value = excluded.value, updated_by = excluded.updated_by, updated_at = now()
            """)
        return before
    }

    /// What a user made now may spend.
    ///
    /// - Parameter configured: what holds where administrators have set nothing.
    package func limitsOfNewUsers(
        otherwise configured: SpendingLimits, in executor: any PostgresExecutor
    ) async throws -> SpendingLimits {
        try await get(NewUserLimits.self, in: executor)?.limits(otherwise: configured) ?? configured
    }
}
