import HTTPTypes

/// A request that cannot be answered as asked. Whatever it carries is sent to the client: no secrets, no SQL,
/// no bodies of upstreams.
struct APIError: Error, Sendable {
    var status: HTTPResponse.Status
    var code: ErrorCode
    var message: String
    var details = ErrorDetails()
    /// When and how to try again; nil when trying again cannot help.
    var retry: RetryAdvice?
    var headers: HTTPFields = [:]

    init(_ status: HTTPResponse.Status, _ code: ErrorCode, _ message: String, details: ErrorDetails = ErrorDetails()) {
        self.status = status
        self.code = code
        self.message = message
        self.details = details
    }
}

/// The codes that clients translate; part of the contract.
enum ErrorCode: String, Sendable, CaseIterable {
    case validation = "VALIDATION_ERROR"
    case invalidInput = "INVALID_INPUT"
    case invalidDateRange = "INVALID_DATE_RANGE"
    case invalidDateFormat = "INVALID_DATE_FORMAT"
    case unauthorized = "UNAUTHORIZED"
    case invalidToken = "INVALID_TOKEN"
    case tokenExpired = "TOKEN_EXPIRED"
    case tokenTooOld = "TOKEN_TOO_OLD"
    case forbidden = "FORBIDDEN"
    case forbiddenAPIKeys = "FORBIDDEN_API_KEYS"
    case insufficientPermissions = "INSUFFICIENT_PERMISSIONS"
    case notFound = "NOT_FOUND"
    case methodNotAllowed = "METHOD_NOT_ALLOWED"
    case notAcceptable = "NOT_ACCEPTABLE"
    case alreadyExists = "ALREADY_EXISTS"
    case conflict = "CONFLICT"
    case payloadTooLarge = "PAYLOAD_TOO_LARGE"
    case uriTooLong = "URI_TOO_LONG"
    case unsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE"
    case idempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED"
    case rateLimited = "RATE_LIMITED"
    case locked = "RESOURCE_LOCKED"
    case internalError = "INTERNAL_ERROR"
    case database = "DATABASE_ERROR"
    case litellm = "LITELLM_ERROR"
    case serviceUnavailable = "SERVICE_UNAVAILABLE"
    case timeout = "TIMEOUT"
}

/// One input that was refused.
struct FieldProblem: Error, Sendable, Equatable {
    /// The path of the field, such as `modelIds[2]` or `metadata.note`.
    var field: String
    /// One sentence that says what would be right.
    var message: String
    /// What kind of fault it is.
    var code: Code

    enum Code: String, Sendable {
        case required
        case type
        case length
        case range
        case format
        case choice
        case unknown
        case invalid
    }
}

/// The parts of an error that name what it is about.
struct ErrorDetails: Sendable {
    var field: String?
    var suggestion: String?
    /// The kind of thing that was not found or is in conflict.
    var resource: String?
    var id: String?
    var validation: [FieldProblem] = []
    /// The upstream that failed, such as `litellm`.
    var service: String?
    /// Our stable code for what the upstream did.
    var upstreamCode: String?
    /// The job whose failure this error reports.
    var job: JobView?
    /// The limit that was exceeded, and its window in words.
    var limit: Int?
    var timeWindow: String?
    var retryAfterMs: Int?
    /// The days that were too many at once.
    var tooLongRange: TooLongRange?

    var isEmpty: Bool {
        field == nil && suggestion == nil && resource == nil && id == nil && validation.isEmpty && service == nil
            && upstreamCode == nil && job == nil && limit == nil && tooLongRange == nil
    }
}

/// How a client should repeat the request.
struct RetryAdvice: Sendable {
    /// Whole seconds; also sent as `Retry-After`.
    var afterSeconds: Int
    var maxRetries = 3
}

extension APIError {
    /// 400 with every refused field.
    static func validation(_ problems: [FieldProblem]) -> APIError {
        let first = problems.first
        let message =
            problems.count == 1
            ? "\(first?.field ?? "the request"): \(first?.message ?? "")"
            : "\(problems.count) fields are not valid."
        return APIError(
            .badRequest, .validation, message,
            details: ErrorDetails(
                field: first?.field, suggestion: "Correct the fields named in details.validation and send it again.",
                validation: problems))
    }

    /// 400 for one field.
    static func validation(_ field: String, _ code: FieldProblem.Code, _ message: String) -> APIError {
        validation([FieldProblem(field: field, message: message, code: code)])
    }

    /// 404 for something that is not there, or is not the caller's.
    static func notFound(_ resource: String, id: String) -> APIError {
        APIError(
            .notFound, .notFound, "There is no \(resource) with this id.",
            details: ErrorDetails(resource: resource, id: id))
    }

    /// 409: somebody holds what this request needs; it can be repeated after `afterSeconds`.
    static func busy(_ message: String, afterSeconds: Int) -> APIError {
        var error = APIError(.conflict, .conflict, message)
        error.retry = RetryAdvice(afterSeconds: afterSeconds)
        return error
    }

    /// 503: this process or its database cannot answer now.
    static func unavailable(_ message: String, afterSeconds: Int = 2) -> APIError {
        var error = APIError(.serviceUnavailable, .serviceUnavailable, message)
        error.retry = RetryAdvice(afterSeconds: afterSeconds)
        return error
    }

    /// 401. `challenge` names the fault for clients that read `WWW-Authenticate`.
    static func unauthorized(_ code: ErrorCode, _ message: String) -> APIError {
        var error = APIError(.unauthorized, code, message)
        error.headers[.wwwAuthenticate] =
            code == .unauthorized ? #"Bearer realm="litemaas""# : #"Bearer realm="litemaas", error="invalid_token""#
        return error
    }
}
