import Foundation
import Shared

/// What came of a change of many keys.
package struct KeyBulkReport: Codable, Sendable, Equatable {
    /// A key that could not be changed.
    package struct Refusal: Codable, Sendable, Equatable {
        package var keyId: String
        package var code: String
        package var message: String
    }

    /// Keys that were meant.
    package var total = 0
    /// Whose rows were changed: LiteLLM follows by the children.
    package var changed = 0
    /// That were as wanted before.
    package var unchanged = 0
    /// That could not be changed.
    package var refused = 0
    /// The first of those.
    package var refusals: [Refusal] = []
    /// Children that ended well.
    package var succeeded = 0
    /// Children that did not.
    package var failed = 0
}

/// How far a change of many keys is.
struct KeyBulkRun: Codable, Sendable, Equatable {
    /// Refused keys that are named one by one.
    private static let namedLimit = 100

    /// The last key that was dealt with; they come in the order of their ids.
    var afterId: UUID?
    var isDone = false
    var report = KeyBulkReport()

    /// Deals with the next key, whose outcome is what `change` says.
    mutating func note(_ id: UUID, _ change: () async throws -> Bool) async throws {
        do {
            if try await change() { report.changed += 1 } else { report.unchanged += 1 }
        } catch let error as ProvisioningError {
            report.refused += 1
            if report.refusals.count < Self.namedLimit {
                report.refusals.append(
                    KeyBulkReport.Refusal(keyId: id.text, code: error.code.rawValue, message: error.message))
            }
        }
        afterId = id
    }
}

/// Changes the keys of a selection in chunks. Each chunk's transaction also notes how far it is, so that a crash
/// repeats no key and leaves none out.
struct KeyBulkRunner: Sendable {
    let selection: KeySelection
    let chunk: Int
    let context: JobContext

    /// - Parameter change: changes one key, with its job as a child; false when it was as wanted. What it refuses it
    ///   refuses before it has written anything.
    func run(
        _ change: @Sendable (UUID, KeyProvisioning, PostgresTransaction) async throws -> Bool
    ) async throws -> KeyBulkReport {
        let runs = PostgresKeyBulkRunStore()
        let keys = PostgresAPIKeyStore()
        let database = context.services.database
        let provisioning = KeyProvisioning(
            queue: context.services.queue, sealer: context.services.sealer, settings: context.services.settings
        ).inFamily(of: context)
        try await runs.forgetOld(in: database)
        var run: KeyBulkRun
        if let begun = try await runs.load(jobId: context.id, in: database) {
            run = begun
        } else {
            run = KeyBulkRun()
            run.report.total = try await keys.count(selection, in: database)
        }
        while !run.isDone {
            let now = run
            run = try await retryingDeadlocks {
                try await context.transaction { transaction in
                    var run = now
                    let ids = try await keys.selected(selection, after: run.afterId, limit: chunk, in: transaction)
                    for id in ids { try await run.note(id) { try await change(id, provisioning, transaction) } }
                    run.isDone = ids.isEmpty
                    try await runs.save(run, jobId: context.id, in: transaction)
                    return run
                }
            }
            let done = run.report.changed + run.report.unchanged + run.report.refused
            try await context.progress(
                Double(done) / Double(max(1, done, run.report.total)) * 0.99,
                "\(done) of \(max(done, run.report.total)) keys.")
        }
        guard let children = try await context.children() else { throw JobWaitForChildren(.someMayFail) }
        run.report.succeeded = children.succeeded
        run.report.failed = children.failed + children.cancelled
        return run.report
    }
}
