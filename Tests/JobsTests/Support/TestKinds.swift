import Foundation
import Shared
import Synchronization

@testable import Jobs

/// What the test jobs of one test do and report; found by its name, since a job is only data.
final class Stage: Sendable {
    struct Event: Sendable, Equatable {
        var job: String
        var attempt: Int
        var what: String
    }
    private struct State {
        var events: [Event] = []
        var running: [String: Int] = [:]
        var mostAtOnce = 0
        var act: (@Sendable (TestJob, JobContext) async throws -> Void)?
    }
    private static let stages = Mutex<[String: Stage]>([:])
    private let state = Mutex(State())
    let name = UUID().uuidString

    init(_ act: (@Sendable (TestJob, JobContext) async throws -> Void)? = nil) {
        state.withLock { $0.act = act }
        Self.stages.withLock { $0[name] = self }
    }

    deinit { Self.stages.withLock { $0[name] = nil } }

    static func find(_ name: String) -> Stage? { stages.withLock { $0[name] } }

    func play(_ job: TestJob, _ context: JobContext) async throws {
        note(job, context.attempt, "start")
        let act = state.withLock { state in
            state.running[job.order ?? "-", default: 0] += 1
            state.mostAtOnce = max(state.mostAtOnce, state.running[job.order ?? "-"] ?? 0)
            return state.act
        }
        defer { state.withLock { $0.running[job.order ?? "-", default: 1] -= 1 } }
        try await act?(job, context)
        note(job, context.attempt, "end")
    }

    func note(_ job: TestJob, _ attempt: Int, _ what: String) {
        state.withLock { $0.events.append(Event(job: job.label, attempt: attempt, what: what)) }
    }

    var events: [Event] { state.withLock { $0.events } }
    func events(_ what: String) -> [String] { events.filter { $0.what == what }.map(\.job) }
    /// The largest number of jobs of one object that ran at the same time.
    var mostAtOnce: Int { state.withLock { $0.mostAtOnce } }
}

/// A job whose behaviour the test's ``Stage`` decides.
struct TestJob: JobKind {
    static let name = "test.job"
    static let retry = RetryPolicy(maxAttempts: 3, backoff: Backoff(initial: .milliseconds(5), cap: .milliseconds(20)))
    static let timeout: Duration = .seconds(20)

    var stage: String
    var label: String
    var order: String?
    var unique: String?

    init(_ stage: Stage, _ label: String, order: String? = nil, unique: String? = nil) {
        self.stage = stage.name
        self.label = label
        self.order = order
        self.unique = unique
    }

    var orderKey: String? { order }
    var uniqueKey: String? { unique }

    func play(_ context: JobContext) async throws -> NoOutput {
        try await Stage.find(stage)?.play(self, context)
        return NoOutput()
    }

    func run(in context: JobContext) async throws -> NoOutput { try await play(context) }

    func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        Stage.find(stage)?.note(self, 0, "ended \(end.state.rawValue) \(end.error.code)")
    }

    func retried(jobId: Int64, in transaction: PostgresTransaction) async throws {
        Stage.find(stage)?.note(self, 0, "retried")
    }

    func discarded(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        Stage.find(stage)?.note(self, 0, "discarded \(end.error.code) \(end.error.message)")
    }
}

/// The same behind the breaker of LiteLLM's admin calls.
struct UpstreamJob: JobKind {
    static let name = "test.upstream"
    static let upstream: Upstream? = .litellmAdmin
    static let retry = RetryPolicy(maxAttempts: 3, backoff: Backoff(initial: .milliseconds(5), cap: .milliseconds(20)))
    var stage: String
    var label: String

    func run(in context: JobContext) async throws -> NoOutput {
        guard let stage = Stage.find(stage) else { return NoOutput() }
        var job = TestJob(stage, label)
        job.stage = stage.name
        return try await job.play(context)
    }
}

/// Security work, in the protected queue.
struct ProtectedJob: JobKind {
    static let name = "test.protected"
    static let queue = "security"
    static let retry = RetryPolicy(
        maxAttempts: RetryPolicy.unlimitedAttempts,
        backoff: Backoff(initial: .milliseconds(5), cap: .milliseconds(20)), retriesPermanentErrors: true)
    var stage: String
    var label: String
    var order: String?
    var orderKey: String? { order }

    func run(in context: JobContext) async throws -> NoOutput {
        guard let stage = Stage.find(stage) else { return NoOutput() }
        return try await TestJob(stage, label, order: order).play(context)
    }
}

/// Reads only: may be a breaker's probe.
struct ProbeJob: JobKind {
    static let name = "test.probe"
    static let upstream: Upstream? = .litellmAdmin
    static let isProbeSafe = true

    func run(in context: JobContext) async throws -> NoOutput {
        try await context.litellm.probe()
        return NoOutput()
    }
}

/// Does nothing.
struct NoOpJob: JobKind {
    static let name = "test.noop"
    var number = 0
    func run(in context: JobContext) async throws -> NoOutput { NoOutput() }
}
