package import Shared

/// How often and how soon a failed job is tried again.
package struct RetryPolicy: Sendable, Equatable {
    /// The stored limit that stands for "never give up".
    package static let unlimitedAttempts = Int(Int16.max)

    /// Attempts in all, the first one included; 1...32767.
    package var maxAttempts: Int
    /// The wait between attempts, with full jitter.
    package var backoff: Backoff
    /// Whether even permanent errors are tried again (security work), at the backoff's cap.
    package var retriesPermanentErrors: Bool

    package init(maxAttempts: Int, backoff: Backoff, retriesPermanentErrors: Bool = false) {
        self.maxAttempts = min(max(maxAttempts, 1), Self.unlimitedAttempts)
        self.backoff = backoff
        self.retriesPermanentErrors = retriesPermanentErrors
    }

    /// 25 attempts, from half a second to five minutes apart.
    package static let standard = RetryPolicy(
        maxAttempts: 25, backoff: Backoff(initial: .milliseconds(500), cap: .seconds(300)))

    /// Never gives up; at most a minute apart. For revocations.
    package static let untilDone = RetryPolicy(
        maxAttempts: unlimitedAttempts, backoff: Backoff(initial: .milliseconds(500), cap: .seconds(60)),
        retriesPermanentErrors: true)
}
