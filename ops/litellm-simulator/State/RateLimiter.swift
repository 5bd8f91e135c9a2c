/// Counts requests and tokens per minute. A minute starts with the first call after the last one ended.
struct RateLimiter: Sendable {
    /// Whose limit it is; the raw value is LiteLLM's name for it.
    enum Owner: String, Sendable { case key = "api_key", user, team }

    struct Subject: Hashable, Sendable {
        let owner: Owner
        let id: String
    }

    /// The limits of one subject; nil where there is none.
    struct Limits: Sendable {
        let subject: Subject
        let requests: Int?
        let tokens: Int?
    }

    /// A limit that was reached.
    struct Excess: Error {
        let subject: Subject
        /// `requests` or `tokens`.
        let kind: String
        let limit: Int
        let resetsAt: Moment
    }

    private struct Window: Sendable {
        let ends: Moment
        var requests = 0
        var tokens = 0
    }

    private var windows: [Subject: Window] = [:]

    /// Counts one request against each of `limits`, or none of them when one is used up.
    mutating func admit(_ limits: [Limits], now: Moment) throws(Excess) {
        for limit in limits {
            let window = window(of: limit.subject, now: now)
            if let most = limit.requests, window.requests >= most {
                throw Excess(subject: limit.subject, kind: "requests", limit: most, resetsAt: window.ends)
            }
            if let most = limit.tokens, window.tokens >= most {
                throw Excess(subject: limit.subject, kind: "tokens", limit: most, resetsAt: window.ends)
            }
        }
        for limit in limits {
            var window = window(of: limit.subject, now: now)
            window.requests += 1
            windows[limit.subject] = window
        }
    }

    /// Counts the tokens of a call that was admitted.
    mutating func add(tokens: Int, to limits: [Limits]) {
        for limit in limits { windows[limit.subject]?.tokens += tokens }
    }

    /// What is left of a limit in the current minute.
    func remaining(_ limit: Limits) -> (requests: Int?, tokens: Int?) {
        let window = windows[limit.subject]
        return (
            limit.requests.map { max(0, $0 - (window?.requests ?? 0)) },
            limit.tokens.map { max(0, $0 - (window?.tokens ?? 0)) }
        )
    }

    private func window(of subject: Subject, now: Moment) -> Window {
        if let window = windows[subject], window.ends > now { return window }
        return Window(ends: now.adding(seconds: 60))
    }
}
