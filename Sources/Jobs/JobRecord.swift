package import Foundation
package import Shared

/// The object a job acts on, for people and filters.
package struct JobResource: Sendable, Equatable {
    /// Such as `api_key`, `user`, `team`.
    package var type: String
    package var id: String

    package init(type: String, id: String) {
        self.type = type
        self.id = id
    }
}

/// How far a running job is.
package struct JobProgress: Sendable, Codable, Equatable {
    /// 0...1.
    package var fraction: Double
    package var message: String
    /// Of a job that waits for its children.
    package var children: ChildCounts?

    package init(fraction: Double, message: String, children: ChildCounts? = nil) {
        self.fraction = fraction
        self.message = message
        self.children = children
    }
}

/// One attempt that did not succeed.
package struct JobAttempt: Sendable, Equatable {
    package var attempt: Int
    package var startedAt: Date?
    package var endedAt: Date
    package var error: JobErrorInfo
    /// Whether it counts against the limit.
    package var charged: Bool
}

/// Why a job that has not ended is not running now.
package struct JobWaitReason: Sendable, Equatable {
    package enum Code: String, Sendable {
        case dueLater = "due_later"
        case behindJob = "behind_job"
        case waitingForJobs = "waiting_for_jobs"
        case queuePaused = "queue_paused"
        case breakerOpen = "breaker_open"
        case unknownKind = "no_worker_knows_kind"
        case noWorker = "no_worker"
        case atLimit = "limit_reached"
        case waitingForChildren = "waiting_for_children"
        case upstreamBusy = "upstream_busy"
        case soon = "claimed_soon"
    }
    package var code: Code
    /// One sentence for people.
    package var message: String
    /// When it may change, where that is known.
    package var until: Date?
    /// Who caused it, where that was somebody.
    package var by: String?
    /// The jobs it waits for.
    package var jobIds: [Int64] = []
}

/// A job as stored, live or ended.
package struct JobSnapshot: Sendable {
    package var id: Int64
    package var kind: String
    package var queue: String
    package var upstream: Upstream?
    package var state: JobState
    package var attempt: Int
    package var maxAttempts: Int
    package var priority: Int
    package var createdAt: Date
    package var runAt: Date
    package var startedAt: Date?
    package var finishedAt: Date?
    package var deadlineAt: Date?
    package var discardedAt: Date?
    package var discardedBy: String?
    package var endedBy: String?
    package var cancelRequested: Bool
    package var resource: JobResource?
    package var requester: JobRequester
    package var parentId: Int64?
    package var progress: JobProgress?
    package var result: JSONValue?
    package var error: JobErrorInfo?
    /// Filled by ``JobQueue/job(id:)``, empty in lists.
    package var attempts: [JobAttempt] = []
    /// Filled by ``JobQueue/job(id:)`` for jobs that have not ended and do not run.
    package var waiting: JobWaitReason?
}

/// Which jobs a list shows.
package struct JobFilter: Sendable {
    /// Only jobs this user asked for; nil for all.
    package var requesterId: String?
    package var states: Set<JobState> = []
    package var kind: String?
    /// Jobs with a smaller id, for the next page.
    package var beforeId: Int64?
    /// 1...100.
    package var limit = 20

    package init() {}
}

/// What came of an enqueue.
package struct EnqueuedJob: Sendable, Equatable {
    package let id: Int64
    /// True when a job that had not started yet takes over this one's work.
    package let coalesced: Bool
    package let state: JobState
    /// Waiting jobs on the same object that this one put aside.
    package let superseded: [Int64]
}

/// How and when a job is to run.
package struct JobOptions: Sendable {
    /// Not before this time; nil for at once.
    package var runAt: Date?
    /// Not before this long from now, on the database's clock; ignored when ``runAt`` is set.
    package var delay: Duration?
    /// Overrides the kind's priority; lower runs first.
    package var priority: Int?
    /// Overrides the kind's limit.
    package var maxAttempts: Int?
    /// Jobs with an order key that must succeed first; if one fails, this one fails with its error.
    package var dependsOn: [Int64] = []
    /// Puts aside what waits on the same object and stops what runs on it (revocations).
    package var supersedes = false
    package var resource: JobResource?
    package var requester: JobRequester = JobRequester(id: nil)
    package var parentId: Int64?
    /// Past this time the job fails instead of starting.
    package var deadlineAt: Date?
    /// Whether somebody waits for its end already.
    package var watched = false

    package init() {}

    /// Whether nothing but the priority, the attempts and the requester are set.
    var isPlain: Bool {
        runAt == nil && delay == nil && dependsOn.isEmpty && !supersedes && resource == nil && parentId == nil
            && deadlineAt == nil && !watched
    }
}
