import Shared

/// What the queue refuses, in words for the caller.
package enum JobQueueError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind names a queue that `job_queues` does not have.
    case unknownQueue(String)
    /// ``JobQueue/prepare()`` has not run, or the kind is not in the catalogue.
    case unknownKind(String)
    /// No such job, or not the caller's.
    case notFound(Int64)
    /// The job is in a state that does not allow it.
    case wrongState(Int64, JobState, allowed: String)
    /// Another job holds the key this one needs.
    case keyTaken(Int64)
    /// Work that protects others (revocations) ends only by force.
    case protected(Int64)
    /// A job it would wait for has already ended without success.
    case dependencyEnded
    /// A job it would wait for has no order key, so its end could not be seen reliably.
    case dependencyWithoutOrder

    package var description: String {
        switch self {
        case .unknownQueue(let name): "There is no job queue named \(name)."
        case .unknownKind(let name): "This process does not know the job kind \(name)."
        case .notFound(let id): "There is no job \(id)."
        case .wrongState(let id, let state, let allowed): "Job \(id) is \(state.rawValue); only \(allowed) jobs can."
        case .keyTaken(let id): "Another job already does the work of job \(id)."
        case .protected(let id): "Job \(id) protects others (it revokes access); it can be ended only by force."
        case .dependencyEnded: "A job that this one would wait for has ended without success."
        case .dependencyWithoutOrder: "A job can wait only for jobs that act on an object (with an order key)."
        }
    }
}
