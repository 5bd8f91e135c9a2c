import Shared
import Synchronization

/// How an attempt came out, on its way to the database.
enum JobOutcome: Sendable {
    case succeeded(FinishedJob)
    case again(AgainJob)
    case ended(id: Int64, token: Int64, state: JobState, error: JobErrorInfo, by: String?)
    /// Not this worker's any more: nothing may be written.
    case lost(id: Int64, token: Int64)

    var jobId: Int64 {
        switch self {
        case .succeeded(let job): job.id
        case .again(let job): job.id
        case .ended(let id, _, _, _, _): id
        case .lost(let id, _): id
        }
    }

    /// The attempt it is the outcome of.
    var attemptId: AttemptId {
        switch self {
        case .succeeded(let job): AttemptId(id: job.id, token: job.token)
        case .again(let job): AttemptId(id: job.id, token: job.token)
        case .ended(let id, let token, _, _, _), .lost(let id, let token): AttemptId(id: id, token: token)
        }
    }

    /// The same without the texts that the handler made: for a database that cannot store them.
    var withoutTexts: JobOutcome {
        switch self {
        case .succeeded(var job):
            job.result = nil
            return .succeeded(job)
        case .again(var job):
            job.error = job.error.map { .unstorable(as: $0.errorClass) }
            return .again(job)
        case .ended(let id, let token, let state, let error, let by):
            return .ended(id: id, token: token, state: state, error: .unstorable(as: error.errorClass), by: by)
        case .lost: return self
        }
    }
}

/// Outcomes waiting to be written. Flushed at once when idle; while a flush is under way the next batch gathers.
final class FinishBuffer: Sendable {
    private let outcomes = Mutex<[JobOutcome]>([])
    let signal = WakeSignal()

    var isEmpty: Bool { outcomes.withLock(\.isEmpty) }

    func add(_ outcome: JobOutcome) {
        let isFirst = outcomes.withLock { outcomes in
            outcomes.append(outcome)
            return outcomes.count == 1
        }
        if isFirst { signal.ring() }
    }

    /// Takes up to `limit` outcomes, oldest first.
    func take(_ limit: Int) -> [JobOutcome] {
        outcomes.withLock { outcomes in
            guard outcomes.count > limit else {
                defer { outcomes.removeAll(keepingCapacity: true) }
                return outcomes
            }
            defer { outcomes.removeFirst(limit) }
            return Array(outcomes.prefix(limit))
        }
    }

    /// Puts back what a failed flush could not write.
    func putBack(_ failed: [JobOutcome]) {
        outcomes.withLock { $0.insert(contentsOf: failed, at: 0) }
    }
}

extension JobErrorInfo {
    static func unstorable(as errorClass: JobErrorClass) -> JobErrorInfo {
        JobErrorInfo(
            errorClass: errorClass, code: "unstorable_error", message: "What the attempt reported could not be stored.")
    }
}
