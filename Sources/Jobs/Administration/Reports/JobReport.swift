package import Foundation
package import Shared

/// The number of a job. JSON carries it as a string: it may be larger than a number of JavaScript.
package struct JobNumber: Codable, Sendable, Hashable, CustomStringConvertible {
    package let value: Int64

    package init(_ value: Int64) { self.value = value }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let value = Int64(text), value > 0 else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not the number of a job")
        }
        self.value = value
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(String(value))
    }

    package var description: String { String(value) }
}

/// A job for operators: what its owner sees, and its place in the engine.
package struct JobReport: Codable, Sendable, Equatable {
    /// What a job acts on.
    package struct Resource: Codable, Sendable, Equatable {
        package var type: String
        package var id: String
    }
    /// Why an attempt, or the job, failed.
    package struct Failure: Codable, Sendable, Equatable {
        /// `retryable`, `conflict`, `permanent`, `lost`, `released`, `snoozed` or `cancelled`.
        package var `class`: String
        /// A stable snake_case code.
        package var code: String
        package var message: String
    }
    /// One attempt that did not succeed.
    package struct Attempt: Codable, Sendable, Equatable {
        package var attempt: Int
        package var `class`: String
        package var code: String
        package var message: String
        /// Whether it counts against the limit.
        package var charged: Bool
        package var startedAt: Date?
        package var endedAt: Date
    }
    /// Why it is not running now.
    package struct Waiting: Codable, Sendable, Equatable {
        /// A stable snake_case code.
        package var reason: String
        package var message: String
        package var until: Date?
        /// The jobs it waits for.
        package var jobIds: [JobNumber]?
    }
    /// Who runs it.
    package struct Holder: Codable, Sendable, Equatable {
        package var id: Int32
        package var name: String
        package var host: String
    }

    package var id: JobNumber
    package var kind: String
    package var queue: String
    /// The class of upstream calls whose breaker stands before it.
    package var upstream: String?
    package var state: JobState
    package var attempt: Int
    /// Nil for work that is tried until it succeeds.
    package var maxAttempts: Int?
    /// Lower runs first.
    package var priority: Int
    package var createdAt: Date
    package var runAt: Date
    package var startedAt: Date?
    package var finishedAt: Date?
    package var deadlineAt: Date?
    package var discardedAt: Date?
    package var discardedBy: String?
    package var endedBy: String?
    /// True while a running job has been told to stop.
    package var cancelRequested: Bool?
    package var requestedBy: String?
    package var requestId: String?
    package var parentId: JobNumber?
    package var resource: Resource?
    package var progress: JobProgress?
    /// What a success reported.
    package var result: JSONValue?
    /// Why it ended without success; for an unfinished job, why its last attempt failed.
    package var error: Failure?
    /// Every attempt that did not succeed, oldest first; empty in lists.
    package var errors: [Attempt]
    /// Only for one job.
    package var waiting: Waiting?
    /// What the kind was asked to do; only for one job.
    package var parameters: JSONValue?
    /// Jobs with the same value run one at a time; only for one job.
    package var orderKey: String?
    /// Jobs with the same value coalesce; only for one job.
    package var uniqueKey: String?
    /// The worker of a running job; only for one job.
    package var worker: Holder?
}

extension JobReport {
    package init(_ job: JobSnapshot) {
        id = JobNumber(job.id)
        kind = job.kind
        queue = job.queue
        upstream = job.upstream?.rawValue
        state = job.state
        attempt = job.attempt
        maxAttempts = job.maxAttempts >= RetryPolicy.unlimitedAttempts ? nil : job.maxAttempts
        priority = job.priority
        createdAt = job.createdAt
        runAt = job.runAt
        startedAt = job.startedAt
        finishedAt = job.finishedAt
        deadlineAt = job.deadlineAt
        discardedAt = job.discardedAt
        discardedBy = job.discardedBy
        endedBy = job.endedBy
        cancelRequested = job.cancelRequested ? true : nil
        requestedBy = job.requester.id
        requestId = job.requester.requestId
        parentId = job.parentId.map(JobNumber.init)
        resource = job.resource.map { Resource(type: $0.type, id: $0.id) }
        progress = job.progress
        result = job.result
        error = job.error.map(Failure.init)
        errors = job.attempts.map(Attempt.init)
        waiting = job.waiting.map(Waiting.init)
    }
}

extension JobReport.Failure {
    init(_ error: JobErrorInfo) {
        self.init(class: error.errorClass.rawValue, code: error.code, message: error.message)
    }
}

extension JobReport.Attempt {
    init(_ attempt: JobAttempt) {
        self.init(
            attempt: attempt.attempt, class: attempt.error.errorClass.rawValue, code: attempt.error.code,
            message: attempt.error.message, charged: attempt.charged, startedAt: attempt.startedAt,
            endedAt: attempt.endedAt)
    }
}

extension JobReport.Waiting {
    init(_ reason: JobWaitReason) {
        self.init(
            reason: reason.code.rawValue, message: reason.message, until: reason.until,
            jobIds: reason.jobIds.isEmpty ? nil : reason.jobIds.map(JobNumber.init))
    }
}
