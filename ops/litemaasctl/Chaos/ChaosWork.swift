import Foundation
import Jobs
import Shared

/// What the harmless jobs have in common: they take their time and leave one row for each attempt that got through.
enum ChaosWork {
    /// Objects that ordered jobs act on.
    static let objects = 500

    static let catalog = JobCatalog([ChaosJob.self, ChaosOrderedJob.self, ChaosFlakyJob.self])

    static let retry = RetryPolicy(
        maxAttempts: 1000, backoff: Backoff(initial: .milliseconds(200), cap: .seconds(2)))

    static func perform(milliseconds: Int, _ context: JobContext) async throws -> NoOutput {
        try await Task.sleep(for: .milliseconds(milliseconds / 2))
        guard
            try await PostgresChaosStore().record(
                jobId: context.id, token: context.token, in: context.services.database)
        else { throw CancellationError() }
        try await Task.sleep(for: .milliseconds(milliseconds - milliseconds / 2))
        return NoOutput()
    }
}

/// A free one.
struct ChaosJob: JobKind {
    static let name = "chaos.free"
    static let retry = ChaosWork.retry
    var milliseconds: Int

    func run(in context: JobContext) async throws -> NoOutput {
        try await ChaosWork.perform(milliseconds: milliseconds, context)
    }
}

/// One of several on the same object.
struct ChaosOrderedJob: JobKind {
    static let name = "chaos.ordered"
    static let retry = ChaosWork.retry
    var milliseconds: Int
    var object: Int
    var orderKey: String? { "chaos:\(object)" }

    func run(in context: JobContext) async throws -> NoOutput {
        try await ChaosWork.perform(milliseconds: milliseconds, context)
    }
}

/// One whose first attempt fails.
struct ChaosFlakyJob: JobKind {
    static let name = "chaos.flaky"
    static let retry = ChaosWork.retry
    var milliseconds: Int

    func run(in context: JobContext) async throws -> NoOutput {
        guard context.attempt > 1 else {
            throw JobFailure.retryable(code: "chaos_flaky", message: "The first attempt of this job always fails.")
        }
        return try await ChaosWork.perform(milliseconds: milliseconds, context)
    }
}
