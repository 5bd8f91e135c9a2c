/// Decides whether a call to LiteLLM may start and learns how it ended: a breaker, a lease, a limit.
package protocol LiteLLMCallGate: Sendable {
    /// Called before each request.
    /// - Parameter timeLimit: the longest time the request can take.
    /// - Throws: whatever keeps the request from being sent; the client passes it on as it is.
    func admit(_ upstream: Upstream, timeLimit: Duration) async throws

    /// Called exactly once after each admitted request.
    /// - Parameter error: what the answer alone says; nil for a success and for an answer such as "already there".
    ///   A refusal that a second read has to confirm arrives here unconfirmed, as one that does not count.
    func finished(_ upstream: Upstream, error: LiteLLMError?, duration: Duration) async
}
