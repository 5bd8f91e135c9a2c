/// What a job is doing, as clients see it.
package enum JobState: String, Sendable, Codable, CaseIterable {
    /// Due later; holds nothing until then.
    case scheduled
    /// May be claimed by any worker now, as far as limits allow.
    case ready
    /// A worker holds it under a lease.
    case running
    /// Failed in an attempt and waits for the next one.
    case retrying
    /// Behind another job on the same object, or waiting for jobs that must succeed or children that must end first.
    case blocked
    /// Ended well.
    case succeeded
    /// Ended without success; it waits among the dead letters for a person.
    case failed
    /// Ended by a person, or because a newer job took its place.
    case cancelled

    /// Whether the job has ended for good.
    package var isFinal: Bool {
        switch self {
        case .succeeded, .failed, .cancelled: true
        case .scheduled, .ready, .running, .retrying, .blocked: false
        }
    }
}

/// The state codes stored in the live table `jobs` and in the history (`outcome`).
enum StoredState: Int16, Sendable {
    case ready = 0
    case running = 1
    /// Future start: holds neither its object nor a slot.
    case scheduled = 2
    /// Waiting for its next attempt or for the end of a snooze; keeps its object.
    case waitingAgain = 3
    /// Behind another job on the same object.
    case blocked = 4
    /// Waiting for other jobs to succeed; keeps its object.
    case waitingForJobs = 5
    /// Ready but for a limit on its kind; keeps its object.
    case parked = 6
    /// Its children have not all ended; keeps its object, takes no slot.
    case waitingForChildren = 7
    case succeeded = 10
    case failed = 11
    case cancelled = 12

    /// The public state; a job that waits again is `retrying` once an attempt has failed, else `scheduled`.
    func publicState(errors: Int) -> JobState {
        switch self {
        case .ready, .parked: .ready
        case .running: .running
        case .scheduled: .scheduled
        case .waitingAgain: errors > 0 ? .retrying : .scheduled
        case .blocked, .waitingForJobs, .waitingForChildren: .blocked
        case .succeeded: .succeeded
        case .failed: .failed
        case .cancelled: .cancelled
        }
    }
}
