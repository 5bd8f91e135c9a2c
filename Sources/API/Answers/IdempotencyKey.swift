import HTTPTypes
import Hummingbird
import Shared

/// The client's name for a change, under which a repetition is recognised.
struct IdempotencyKey: Sendable {
    /// How long a repetition waits for the first request.
    static let wait: Duration = .seconds(5)

    private static let lengths = 1...255

    let scope: IdempotencyScope
    let bodyHash: String

    /// Nil when the request carries none. Throws `APIError` 400 when it cannot be used.
    init?(_ call: AuthenticatedCall, body: [UInt8]) throws(APIError) {
        guard let key = call.request.headers[.idempotencyKey] else { return nil }
        guard Self.lengths.contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw APIError.validation("Idempotency-Key", .format, "must be 1 to 255 visible ASCII characters")
        }
        scope = IdempotencyScope(
            caller: call.principal.id, method: call.request.method.rawValue, path: call.request.uri.path, key: key)
        bodyHash = sha256Hex(body)
    }
}

extension APIError {
    /// 422.
    static var idempotencyKeyReused: APIError {
        APIError(
            .unprocessableContent, .idempotencyKeyReused,
            "This Idempotency-Key was used before with another body; use a new one for a new request.")
    }

    /// 409 with the time to wait.
    static var idempotencyKeyInProgress: APIError {
        .busy(
            "A request with this Idempotency-Key is still being worked on.",
            afterSeconds: Int(IdempotencyKey.wait.components.seconds))
    }
}
