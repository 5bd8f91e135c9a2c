package import Foundation
import Logging
import Shared

/// Applies an operator's action to every job that a filter means, in chunks. Each chunk's transaction also notes how
/// far it is, so that a crash repeats no job and leaves none out.
package struct JobsBulk: JobKind {
    private static let chunk = 100
    /// After so long the attempt makes room for others and goes on where it was.
    private static let shift: Duration = .seconds(240)

    package static let name = "jobs.bulk"
    package static let timeout: Duration = .seconds(600)

    /// With the states it means.
    package let request: BulkRequest
    /// The name of who asked.
    package let by: String
    /// Jobs that came in or failed later are not meant.
    package let asOf: Date

    package init(request: BulkRequest, by: String, asOf: Date) {
        self.request = request
        self.by = by
        self.asOf = asOf
    }

    /// One at a time: two of them at once would fight over the same jobs.
    package var orderKey: String? { Self.name }

    package func run(in context: JobContext) async throws -> BulkReport {
        let runs = PostgresBulkRunStore()
        let database = context.services.database
        let administration = JobAdministration(queue: context.services.queue)
        var search = try await administration.search.resolve(request.filter, in: database)
        search.asOf = asOf
        try await runs.forgetOld(in: database)
        var run = try await runs.load(jobId: context.id, in: database)
        if run.total == nil {
            run.total = try await administration.search.count(search, in: database).value
        }
        let started = ContinuousClock.now
        var size = Self.chunk
        while true {
            let ids = try await administration.search.candidates(
                search, afterId: run.afterId, except: context.id, limit: size, in: database)
            guard !ids.isEmpty else { break }
            do {
                run = try await deal(with: ids, run, administration, context)
                size = Self.chunk
            } catch  where Self.isOneJobsFault(error) {
                if size == 1 {
                    run = try await skip(ids[0], run, context)
                }
                // One of them spoils the chunk: each by itself until it is found.
                size = size == 1 ? Self.chunk : 1
                context.logger.warning("a chunk of a bulk action failed", metadata: ["error": "\(error)"])
            }
            try await context.progress(fraction(run), "\(run.processed) of about \(run.total ?? run.processed) jobs.")
            if .now - started > Self.shift {
                throw JobSnooze(for: .milliseconds(10), reason: "It goes on after \(run.processed) jobs.")
            }
        }
        return try await finish(run, context)
    }

    /// Applies the action to some jobs and notes it, in one transaction.
    private func deal(
        with ids: [Int64], _ run: BulkRun, _ administration: JobAdministration, _ context: JobContext
    ) async throws -> BulkRun {
        try await retrying {
            try await context.transaction { transaction in
                var run = run
                for id in ids {
                    if let code = try await administration.apply(request, to: id, by: by, in: transaction) {
                        run.refuse(id, code)
                    } else {
                        run.changed += 1
                    }
                    run.afterId = id
                }
                try await PostgresBulkRunStore().save(run, jobId: context.id, in: transaction)
                return run
            }
        }
    }

    private func skip(_ id: Int64, _ run: BulkRun, _ context: JobContext) async throws -> BulkRun {
        try await context.transaction { transaction in
            var run = run
            run.refuse(id, .failed)
            run.afterId = id
            try await PostgresBulkRunStore().save(run, jobId: context.id, in: transaction)
            return run
        }
    }

    /// Others lock the objects first and then their jobs: of two transactions that meet one is rolled back.
    private func retrying(_ body: () async throws -> BulkRun) async throws -> BulkRun {
        for _ in 1...5 {
            do {
                return try await body()
            } catch let error as PostgresError where error.isDeadlock || error.isSerializationFailure {
                try Task.checkCancellation()
            }
        }
        return try await body()
    }

    /// Whether an error may come from one job rather than from the database or the worker as a whole.
    private static func isOneJobsFault(_ error: any Error) -> Bool {
        switch error {
        case is JobLeaseLost, is CancellationError: false
        case let error as PostgresError:
            switch error.code {
            // Data, constraints, names and what functions raise; not resources, time limits or shutdown.
            case .server: ["22", "23", "42", "P0", "JB"].contains(error.sqlState?.prefix(2) ?? "")
            case .decode, .encode, .transactionAborted: true
            case .connection, .timeout, .cancelled, .poolExhausted, .closed, .misuse: false
            }
        default: true
        }
    }

    private func fraction(_ run: BulkRun) -> Double {
        guard let total = run.total, total > 0 else { return 0 }
        return min(0.99, Double(run.processed) / Double(total))
    }

    private func finish(_ run: BulkRun, _ context: JobContext) async throws -> BulkReport {
        let report = run.report(request.action)
        // An attempt before this one came so far, but its end was not written down.
        guard !run.isDone else { return report }
        try await context.transaction { transaction in
            var run = run
            run.isDone = true
            try await PostgresBulkRunStore().save(run, jobId: context.id, in: transaction)
            var actor = context.auditActor
            actor.name = by
            var values = try JSONValue.encoding(report)
            if case .object(var members) = values {
                members["refusedIds"] = nil
                values = .object(members)
            }
            try await PostgresAuditStore().append(
                AuditEntry(
                    actor: actor, action: "JOBS_BULK_DONE", resourceType: "JOB", resourceId: nil, newValues: values,
                    jobId: context.id, metadata: .administration(force: request.force, reason: request.reason)),
                in: transaction)
        }
        return report
    }
}

extension JSONValue {
    /// A value as its JSON.
    static func encoding(_ value: some Encodable) throws -> JSONValue {
        try JSON.decoder.decode(JSONValue.self, from: JSON.encoder.encode(value))
    }
}
