import Synchronization

/// What the access log says about a request besides its answer; filled in where it becomes known, further in.
final class RequestRecord: Sendable {
    private struct Facts {
        var userId: String?
        var errorCode: String?
        var rateLimit: RateLimitDecision?
    }

    private let facts = Mutex(Facts())

    /// The signed-in caller.
    var userId: String? {
        get { facts.withLock { $0.userId } }
        set { facts.withLock { $0.userId = newValue } }
    }

    /// The code of the error that was answered.
    var errorCode: String? {
        get { facts.withLock { $0.errorCode } }
        set { facts.withLock { $0.errorCode = newValue } }
    }

    /// Where the caller stands with their limit.
    var rateLimit: RateLimitDecision? {
        get { facts.withLock { $0.rateLimit } }
        set { facts.withLock { $0.rateLimit = newValue } }
    }
}
