package import Shared

/// How a failed attempt is treated.
package enum JobErrorClass: String, Sendable, Codable {
    /// Worth another attempt.
    case retryable
    /// The object exists but is not ours, or differs; a person decides.
    case conflict
    /// Another attempt cannot succeed.
    case permanent
    /// The worker died or lost its lease; charged, because the job may be what kills it.
    case lost
    /// Given back without a charge: shutdown, open breaker, claimed but never started.
    case released
    /// The handler asked to be run again later; not charged.
    case snoozed
    /// Ended by a person or superseded.
    case cancelled
}

/// What is kept of a failed attempt. The message is safe to show to the job's owner.
package struct JobErrorInfo: Sendable, Equatable {
    /// How the failure was treated.
    package var errorClass: JobErrorClass
    /// A stable snake_case code.
    package var code: String
    /// One sentence, without secrets or upstream bodies.
    package var message: String

    package init(errorClass: JobErrorClass, code: String, message: String) {
        self.errorClass = errorClass
        self.code = code
        self.message = message
    }
}

extension JobErrorInfo {
    /// The end of a job whose deadline came first.
    static let deadlineExceeded = JobErrorInfo(
        errorClass: .permanent, code: "deadline_exceeded", message: "Its deadline passed before it was done.")
}

/// What a handler throws to say how its failure is to be treated. Any other error counts as retryable.
package struct JobFailure: Error, Sendable, CustomStringConvertible {
    package let info: JobErrorInfo
    /// The earliest next attempt, when the upstream named one.
    package let retryAfter: Duration?

    package init(info: JobErrorInfo, retryAfter: Duration? = nil) {
        self.info = info
        self.retryAfter = retryAfter
    }

    package static func retryable(code: String, message: String, after: Duration? = nil) -> JobFailure {
        JobFailure(info: JobErrorInfo(errorClass: .retryable, code: code, message: message), retryAfter: after)
    }

    package static func permanent(code: String, message: String) -> JobFailure {
        JobFailure(info: JobErrorInfo(errorClass: .permanent, code: code, message: message))
    }

    package static func conflict(code: String, message: String) -> JobFailure {
        JobFailure(info: JobErrorInfo(errorClass: .conflict, code: code, message: message))
    }

    package var description: String { "\(info.errorClass.rawValue) \(info.code): \(info.message)" }
}

/// Thrown by a handler that has nothing to do yet; the attempt is not charged and the object stays held.
package struct JobSnooze: Error, Sendable {
    package let delay: Duration
    package let reason: String

    package init(for delay: Duration, reason: String) {
        self.delay = delay
        self.reason = reason
    }
}

/// The fence: this attempt no longer owns its job. Whatever it still does must have no effect.
package struct JobLeaseLost: Error, Sendable {
    package let jobId: Int64
}

/// A call to an upstream was not allowed to start: its breaker is open, or the lease would not outlast the call.
/// The job goes back uncharged.
package struct UpstreamRefused: Error, Sendable {
    package let upstream: Upstream
    package let reason: String
}

/// How a job ended without success, for ``JobKind/ended(_:in:)``.
package struct JobEnd: Sendable {
    package let jobId: Int64
    /// ``JobState/failed`` or ``JobState/cancelled``.
    package let state: JobState
    package let error: JobErrorInfo
    /// Who ended it, when a person did.
    package let by: String?

    /// Puts in what has to follow, in the same transaction.
    let enqueuer: JobEnqueuer
}
