package import Shared

/// What one claim cost the server.
package struct ClaimCost: Sendable {
    /// Pages touched, in memory or not.
    package var buffers: Int
    package var rows: Int
    package var milliseconds: Double
}

extension JobQueue {
    /// Claims up to `limit` jobs of a queue's lane without an upstream from the start of the index, measures it, and
    /// takes it back.
    ///
    /// - Parameter client: has the engine's planner settings.
    package func claimCost(queue: String, limit: Int, in client: PostgresClient) async throws -> ClaimCost {
        let query = store.claimQuery(
            lane: JobLane(queueId: try store.names.queueId(queue), upstream: 0), limit: limit, workerId: 0,
            after: .start, kinds: nil)
        do {
            return try await client.withTransaction { transaction -> ClaimCost in
                throw Measured(plan: try await transaction.query(query.explained(analyze: true)).one(JSONValue.self))
            }
        } catch let measured as Measured {
            let top = measured.plan[0]?["Plan"]
            return ClaimCost(
                buffers: (top?["Shared Hit Blocks"]?.intValue ?? 0) + (top?["Shared Read Blocks"]?.intValue ?? 0),
                rows: top?["Actual Rows"]?.intValue ?? 0,
                milliseconds: measured.plan[0]?["Execution Time"]?.doubleValue ?? 0)
        }
    }
}

/// Carries the plan out of the transaction, which it rolls back.
private struct Measured: Error {
    let plan: JSONValue
}
