package import Foundation

/// How the queue is doing. Counts of unfinished and failed jobs by state, queue and kind; of large tables estimated
/// from a sample.
package struct JobStatistics: Codable, Sendable, Equatable {
    /// Jobs of one queue.
    package struct Queue: Codable, Sendable, Equatable {
        package var queue: String
        /// By state, as in ``JobStatistics/states``.
        package var states: [String: Int]
        /// How long the oldest of the jobs that are next to be claimed has been ready; nil when none is.
        package var oldestReadySeconds: Double?
    }
    /// Jobs of one kind in one queue.
    package struct Kind: Codable, Sendable, Equatable {
        package var kind: String
        package var queue: String
        package var states: [String: Int]
    }
    /// What came to an end in the last so many seconds.
    package struct Window: Codable, Sendable, Equatable {
        package var seconds: Int
        /// How far back the newest part of the history that was read reaches; less than `seconds` when very much is
        /// done: then `perSecond` is still right, and the counts are of that time.
        package var coveredSeconds: Double
        package var succeeded: Int
        package var failed: Int
        package var cancelled: Int
        package var perSecond: Double
    }
    /// Failed jobs that wait for a person and failed alike.
    package struct Failure: Codable, Sendable, Equatable {
        package var kind: String
        package var errorClass: String
        package var errorCode: String
        package var count: Int
        package var firstAt: Date
        package var lastAt: Date
        /// The newest one, with its message.
        package var lastJobId: JobNumber
        package var message: String
    }

    package var takenAt: Date
    /// Whether the counts are exact; else they come from a sample.
    package var isExact: Bool
    /// Jobs by state: `ready`, `running`, `scheduled`, `retrying`, `blocked`, and `failed` for dead letters.
    package var states: [String: Int]
    package var queues: [Queue]
    package var kinds: [Kind]
    package var oldestReadySeconds: Double?
    /// The last minute, five minutes, quarter and hour.
    package var windows: [Window]
    /// The most frequent ones first, at most 50.
    package var failures: [Failure]
    /// Everything that ended and is still kept.
    package var history: CountReport
}
