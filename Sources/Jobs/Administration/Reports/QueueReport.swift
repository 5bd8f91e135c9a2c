package import Foundation

/// A queue for operators.
package struct QueueReport: Codable, Sendable, Equatable {
    package var name: String
    /// Work that protects others (it revokes access): ended, discarded or paused only by force.
    package var isProtected: Bool
    package var isPaused: Bool
    package var pausedAt: Date?
    package var pausedBy: String?
    package var pauseReason: String?
    /// Unfinished and failed jobs by state.
    package var states: [String: Int]
    /// Whether the counts are exact; else they come from a sample.
    package var isExact: Bool
    package var oldestReadySeconds: Double?
    /// Workers that serve it now.
    package var workers: Int
}

/// A circuit breaker for operators.
package struct BreakerReport: Codable, Sendable, Equatable {
    /// The calls of the last half minute, of the whole fleet.
    package struct Window: Codable, Sendable, Equatable {
        package var seconds: Int
        package var succeeded: Int
        package var failed: Int
        package var slow: Int
        /// Different jobs among the failures, as far as processes can tell.
        package var failedJobs: Int
    }

    /// The class of upstream calls, such as `litellm.admin`.
    package var name: String
    /// `closed`, `open`, `half_open`, `ramping`, `forced_open`, `forced_closed`.
    package var state: String
    /// Whether jobs of its class may start.
    package var admits: Bool
    /// Whether a person holds it in its state.
    package var isForced: Bool
    package var reason: String?
    /// A person, or the id of the worker that saw why.
    package var changedBy: String?
    package var changedAt: Date
    package var openedAt: Date?
    /// When the next probe is due.
    package var retryAt: Date?
    /// How often it opened since it was last closed.
    package var consecutiveOpens: Int
    /// Jobs of the class that may run at once in the fleet while it recovers.
    package var concurrency: Int?
    package var window: Window
    /// Jobs of the class that are ready to start; counted up to 100 000.
    package var ready: CountReport
    package var running: Int
}

/// A worker process for operators.
package struct WorkerReport: Codable, Sendable, Equatable {
    /// A job it holds.
    package struct Job: Codable, Sendable, Equatable {
        package var id: JobNumber
        package var kind: String
        package var queue: String
        package var attempt: Int
        package var startedAt: Date?
        package var runningSeconds: Double
        package var cancelRequested: Bool
        package var resource: JobReport.Resource?
        package var progress: JobProgress?
    }
    /// What a worker is doing.
    package enum State: String, Codable, Sendable, CaseIterable {
        case active
        /// Claims no more and lets its jobs end.
        case draining
        /// Its lease ran out: its jobs are taken back.
        case lost
        /// Ended in order.
        case stopped
    }

    package var id: Int32
    package var name: String
    package var host: String
    package var pid: Int32
    package var version: String
    package var state: State
    package var startedAt: Date
    package var beatAt: Date
    /// On the database's clock.
    package var secondsSinceBeat: Double
    package var leaseUntil: Date
    package var queues: [String]
    package var kinds: [String]
    /// Jobs at once, reserved slots aside.
    package var capacity: Int
    package var running: Int
    /// Since when it has been asked to claim no more.
    package var drainRequestedAt: Date?
    package var drainRequestedBy: String?
    /// What it runs, longest first; at most 100.
    package var jobs: [Job]
}
