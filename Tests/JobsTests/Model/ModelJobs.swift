import Foundation
import Shared
import Synchronization

@testable import Jobs

/// What an attempt of a model job does once the scheduler lets it go on.
enum ModelAct: CaseIterable, Sendable {
    case succeed
    case fail
    case failForGood
    case snooze
    /// Ends as a cooperative handler does when it was cancelled, else succeeds.
    case heedCancellation
}

/// Attempts of one run that wait for the scheduler; found by name, since a job is only data.
final class ModelScript: Sendable {
    private static let scripts = Mutex<[String: ModelScript]>([:])
    private let waiting = Mutex<[AttemptId: CheckedContinuation<ModelAct, Never>]>([:])
    let name: String

    init(_ name: String) {
        self.name = name
        Self.scripts.withLock { $0[name] = self }
    }

    deinit { Self.scripts.withLock { $0[name] = nil } }

    static func find(_ name: String) -> ModelScript? { scripts.withLock { $0[name] } }

    var arrived: Set<AttemptId> { waiting.withLock { Set($0.keys) } }

    func play(_ context: JobContext) async throws {
        let id = AttemptId(id: context.id, token: context.token)
        // Deaf to cancellation on purpose: only the scheduler decides when an attempt goes on.
        let act = await withCheckedContinuation { continuation in
            waiting.withLock { $0[id] = continuation }
        }
        switch act {
        case .succeed: return
        case .fail: throw JobFailure.retryable(code: "model", message: "As the model says.")
        case .failForGood: throw JobFailure.permanent(code: "model", message: "As the model says.")
        case .snooze: throw JobSnooze(for: .seconds(3600), reason: "As the model says.")
        case .heedCancellation: try Task.checkCancellation()
        }
    }

    func release(_ id: AttemptId, _ act: ModelAct) {
        waiting.withLock { $0.removeValue(forKey: id) }?.resume(returning: act)
    }
}

private let modelRetry = RetryPolicy(maxAttempts: 3, backoff: Backoff(initial: .seconds(3600), cap: .seconds(3600)))

/// A job that waits for the model's scheduler.
struct ModelJob: JobKind {
    static let name = "test.model"
    static let retry = modelRetry
    static let timeout: Duration = .seconds(3600)
    var script: String
    var order: String?
    var unique: String?
    var orderKey: String? { order }
    var uniqueKey: String? { unique }

    func run(in context: JobContext) async throws -> NoOutput {
        try await ModelScript.find(script)?.play(context)
        return NoOutput()
    }
}

/// The same in another queue.
struct ModelUsageJob: JobKind {
    static let name = "test.modelUsage"
    static let queue = "usage"
    static let retry = modelRetry
    static let timeout: Duration = .seconds(3600)
    var script: String
    var order: String?
    var unique: String?
    var orderKey: String? { order }
    var uniqueKey: String? { unique }

    func run(in context: JobContext) async throws -> NoOutput {
        try await ModelScript.find(script)?.play(context)
        return NoOutput()
    }
}
