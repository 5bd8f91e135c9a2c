import Foundation
import Shared

/// Second looks that resets of spend have put in.
struct PostgresSpendLookStore: Sendable {
    /// What had been spent before the reset, by a look that has not begun; nil without one.
    func spentBefore(uniqueKey: String, in executor: any PostgresExecutor) async throws -> Decimal? {
        try await executor.query(
            "select (args->>'spentBefore')::numeric from jobs where unique_key = \(uniqueKey) and state <> 1"
        ).first?.decode(Decimal.self)
    }
}
