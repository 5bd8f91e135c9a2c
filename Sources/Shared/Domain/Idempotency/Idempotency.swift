/// Which request an `Idempotency-Key` belongs to.
package struct IdempotencyScope: Sendable, Equatable {
    /// The user or service token.
    package var caller: String
    /// The HTTP method.
    package var method: String
    /// The path without the query.
    package var path: String
    /// As the client sent it.
    package var key: String

    /// A scope.
    package init(caller: String, method: String, path: String, key: String) {
        self.caller = caller
        self.method = method
        self.path = path
        self.key = key
    }
}

/// The answer that a repeated request gets. It never holds a secret.
package struct StoredAnswer: Sendable, Equatable {
    /// The HTTP status.
    package var status: Int
    /// The JSON body.
    package var body: JSONValue?
    /// Names and values of the headers that belong to the answer, such as `Location`.
    package var headers: [String: String]

    /// An answer.
    package init(status: Int, body: JSONValue?, headers: [String: String]) {
        self.status = status
        self.body = body
        self.headers = headers
    }
}

/// What is known of a request with an `Idempotency-Key`.
package enum IdempotencyClaim: Sendable, Equatable {
    /// It is the first one: do the work and store the answer in the same transaction.
    case first
    /// It was answered before.
    case answered(StoredAnswer)
    /// The key was used with another body.
    case otherBody
}

/// The first request with this `Idempotency-Key` is still being worked on.
package struct IdempotencyInProgress: Error, Sendable, Equatable {}
