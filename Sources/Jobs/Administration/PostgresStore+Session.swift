import Foundation
import Shared

extension PostgresTransaction {
    /// The limit of the statements that follow, until the transaction ends.
    func setStatementTimeout(milliseconds: String) async throws {
        try await query("select set_config('statement_timeout', \(milliseconds)::text, true)")
    }
}

extension PostgresExecutor {
    /// The time on the database's clock.
    func now() async throws -> Date {
        try await query("select clock_timestamp()").first?.decode(Date.self) ?? Date()
    }
}
