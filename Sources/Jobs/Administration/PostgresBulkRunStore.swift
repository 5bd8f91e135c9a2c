import Foundation
import Shared

/// How far a bulk action is.
struct BulkRun: Sendable, Equatable {
    /// The last job that was dealt with; they come in the order of their ids.
    var afterId: Int64 = 0
    /// Nil until counted.
    var total: Int?
    var changed = 0
    var refused: [BulkRefusal.Code: Int] = [:]
    var refusedIds: [Int64] = []
    var isDone = false

    /// Refused jobs that are named one by one.
    static let namedLimit = 1000

    var processed: Int { changed + refused.values.reduce(0, +) }

    mutating func refuse(_ id: Int64, _ code: BulkRefusal.Code) {
        refused[code, default: 0] += 1
        if refusedIds.count < Self.namedLimit { refusedIds.append(id) }
    }

    func report(_ action: BulkRequest.Action) -> BulkReport {
        BulkReport(
            action: action, processed: processed, changed: changed,
            refused: BulkRefusal.Code.allCases.compactMap { code in
                refused[code].flatMap { $0 > 0 ? BulkRefusal(code, $0) : nil }
            },
            refusedIds: refusedIds.map(JobNumber.init))
    }
}

/// The SQL of `job_bulk_runs`.
struct PostgresBulkRunStore: Sendable {
    /// The run of a job as its last chunk left it; a new one when there was none.
    func load(jobId: Int64, in executor: any PostgresExecutor) async throws -> BulkRun {
        let rows = try await executor.query(
            """
            select after_id, total, changed, wrong_state, protected, key_taken, gone, failed, refused_ids, is_done
            from job_bulk_runs where job_id = \(jobId)
            """)
        guard let row = rows.first else { return BulkRun() }
        let (afterId, total, changed, wrongState, protected, keyTaken, gone, failed, refusedIds, isDone) =
            try row.decode(
                Int64.self, Int?.self, Int.self, Int.self, Int.self, Int.self, Int.self, Int.self, [Int64].self,
                Bool.self)
        return BulkRun(
            afterId: afterId, total: total, changed: changed,
            refused: [
                .wrongState: wrongState, .protected: protected, .keyTaken: keyTaken, .gone: gone, .failed: failed,
            ], refusedIds: refusedIds, isDone: isDone)
    }

    func save(_ run: BulkRun, jobId: Int64, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            """
            insert into job_bulk_runs (
                job_id, after_id, total, changed, wrong_state, protected, key_taken, gone, failed, refused_ids, is_done)
            values (
                \(jobId), \(run.afterId), \(run.total), \(run.changed), \(run.refused[.wrongState] ?? 0),
                \(run.refused[.protected] ?? 0), \(run.refused[.keyTaken] ?? 0), \(run.refused[.gone] ?? 0),
                \(run.refused[.failed] ?? 0), \(run.refusedIds), \(run.isDone))
            on conflict (job_id) do update set after_id = excluded.after_id, total = excluded.total,
                changed = excluded.changed, wrong_state = excluded.wrong_state, protected = excluded.protected,
                key_taken = excluded.key_taken, gone = excluded.gone, failed = excluded.failed,
                refused_ids = excluded.refused_ids, is_done = excluded.is_done, updated_at = now()
            """)
    }

    /// Forgets runs that nobody goes on with: a failed job can be retried for some time, and goes on where it was.
    func forgetOld(in executor: any PostgresExecutor) async throws {
        try await executor.query("delete from job_bulk_runs where updated_at < now() - interval '60 days'")
    }
}
