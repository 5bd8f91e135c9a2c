import Foundation

/// The verdict on an answer that is not a success, from that answer alone.
struct LiteLLMVerdict: Sendable, Equatable {
    /// What must agree before a refusal is believed, since an outage of LiteLLM's database looks the same.
    enum Confirmation: Sendable, Equatable {
        /// Nothing.
        case none
        /// Any read of the database with the same key.
        case probe
        /// A second 401.
        case masterKey
        /// A listing that lacks the team.
        case teamAbsent(id: String)
    }

    /// The error, should the confirmation agree.
    var error: LiteLLMError
    var confirmation: Confirmation = .none
}

/// Sorts answers into what the caller should do, without any input or output.
enum LiteLLMClassifier {
    private typealias Code = LiteLLMError.Code

    /// The verdict on a status other than 2xx.
    static func verdict(on refusal: LiteLLMRefusal, of call: LiteLLMCall, retryAfter: Duration?) -> LiteLLMVerdict {
        var verdict = sort(refusal, call)
        verdict.error.httpStatus = refusal.status
        verdict.error.detail = refusal.excerpt
        verdict.error.message = "\(call.method.rawValue) \(call.path): \(verdict.error.message)"
        if verdict.error.kind == .retryable { verdict.error.retryAfter = retryAfter }
        return verdict
    }

    /// The error for a request that was not answered.
    static func error(for failure: HTTPTransportError, of call: LiteLLMCall) -> LiteLLMError {
        let (code, counts) = meaning(of: failure.code)
        return LiteLLMError(
            failure.code == .invalidRequest ? .permanent : .retryable, code: code,
            message: "\(call.method.rawValue) \(call.path): \(failure.code.label)",
            outcomeUnknown: call.isWrite && failure.requestMayHaveReachedServer, countsForBreaker: counts,
            opensEveryClass: failure.code == .connect(refused: true))
    }

    /// The error for an answer of status 2xx whose body is not what was expected.
    static func badResponse(_ status: Int, _ call: LiteLLMCall) -> LiteLLMError {
        LiteLLMError(
            .retryable, code: Code.badResponse, httpStatus: status,
            message: "\(call.method.rawValue) \(call.path): not the expected JSON", outcomeUnknown: call.isWrite,
            countsForBreaker: true)
    }

    private static func meaning(of code: HTTPTransportError.Code) -> (code: String, countsForBreaker: Bool) {
        switch code {
        case .dns, .connect, .addressRefused: (Code.unreachable, true)
        case .tls: (Code.tlsFailed, true)
        case .timeout: (Code.timeout, true)
        case .aborted: (Code.connectionLost, true)
        case .protocolViolation: (Code.badResponse, true)
        case .tooLarge: (Code.responseTooLarge, false)
        case .cancelled, .closed: (Code.cancelled, false)
        case .overloaded: (Code.overloaded, false)
        case .invalidRequest: (Code.invalidRequest, false)
        }
    }

    private static func sort(_ refusal: LiteLLMRefusal, _ call: LiteLLMCall) -> LiteLLMVerdict {
        // Before the status: a database out of reach shows as 400, 401, 404, 500 and 503 alike.
        if refusal.isDatabaseDown {
            let isCertain = refusal.type == "no_db_connection"
            return LiteLLMVerdict(
                error: LiteLLMError(
                    .retryable, code: Code.dbDown, message: "LiteLLM cannot reach its database",
                    outcomeUnknown: call.isWrite && !isCertain, countsForBreaker: true, opensEveryClass: isCertain))
        }
        if refusal.isEnterpriseOnly { return permanent(Code.enterpriseOnly, "the feature needs a licence") }
        switch refusal.status {
        case 400: return badRequest(refusal, call)
        case 401: return masterKey(call)
        case 403: return forbidden(refusal, call)
        case 404 where !call.isInEveryRelease, 405 where !call.isInEveryRelease:
            return permanent(Code.noSuchRoute, "this release has no such route")
        case 404: return notFound(refusal, call)
        case 409 where refusal.isFromLiteLLM: return conflict(call)
        case 405, 300..<400: return upstream(Code.badResponse, "no such route", call, changed: false)
        case 408, 425: return upstream(Code.serverError, "status \(refusal.status)", call, changed: true)
        case 413: return permanent(Code.validation, "the request is too large")
        case 422: return permanent(Code.validation, "LiteLLM rejects a field")
        case 429:
            return LiteLLMVerdict(
                error: LiteLLMError(.retryable, code: Code.rateLimited, message: "LiteLLM limits the rate of calls"))
        case 500...: return serverError(refusal, call)
        default: return upstream(Code.badResponse, "unexpected status \(refusal.status)", call, changed: true)
        }
    }

    private static func badRequest(_ refusal: LiteLLMRefusal, _ call: LiteLLMCall) -> LiteLLMVerdict {
        if refusal.type == "team_member_already_in_team" || refusal.says("already in team") {
            return permanent(Code.alreadyMember, "the user is a member already")
        }
        if refusal.says("already exists") { return conflict(call) }
        if case .team(let id) = call.subject {
            if refusal.says("does not exist in db") {
                return permanent(Code.teamNotFound, "LiteLLM knows no such team", .teamAbsent(id: id))
            }
            if refusal.says("user not found in team") {
                return permanent(Code.notMember, "the user is no member", .probe)
            }
        }
        if call.subject == .model, refusal.says("model not found", "not found in db", "not found on litellm proxy") {
            return permanent(Code.modelNotFound, "LiteLLM knows no such deployment", .probe)
        }
        guard refusal.isFromLiteLLM else {
            return upstream(Code.badResponse, "a 400 that is not LiteLLM's", call, changed: false)
        }
        return permanent(Code.validation, "LiteLLM rejects the request", .probe)
    }

    /// A refused master key is a fault of the installation, not of the request: nothing is lost by waiting.
    private static func masterKey(_ call: LiteLLMCall) -> LiteLLMVerdict {
        LiteLLMVerdict(
            error: LiteLLMError(
                .retryable, code: Code.masterKeyRefused, message: "LiteLLM refuses the master key",
                countsForBreaker: true, opensEveryClass: true),
            confirmation: call.confirmsMasterKey ? .none : .masterKey)
    }

    private static func forbidden(_ refusal: LiteLLMRefusal, _ call: LiteLLMCall) -> LiteLLMVerdict {
        if refusal.says("custom api key values are disabled", "disable_custom_api_keys") {
            return permanent(Code.customKeysDisabled, "LiteLLM's administrator forbids chosen keys")
        }
        guard refusal.isFromLiteLLM else {
            return upstream(Code.badResponse, "a 403 that is not LiteLLM's", call, changed: false)
        }
        return permanent(Code.forbidden, "LiteLLM forbids it")
    }

    private static func notFound(_ refusal: LiteLLMRefusal, _ call: LiteLLMCall) -> LiteLLMVerdict {
        // From a proxy in front, or from a release without the route: it says nothing about the object.
        guard refusal.isFromLiteLLM else { return upstream(Code.badResponse, "no such route", call, changed: false) }
        switch call.subject {
        case .key where refusal.says("team doesn't exist"):
            return permanent(Code.teamNotFound, "LiteLLM knows no such team", .probe)
        case .key where refusal.says("no keys found") || (refusal.says("key") && refusal.says("not found")):
            return permanent(Code.keyNotFound, "LiteLLM knows no such key")
        case .user where refusal.says("not found"):
            return permanent(Code.userNotFound, "LiteLLM knows no such user")
        case .team(let id):
            return permanent(Code.teamNotFound, "LiteLLM knows no such team", .teamAbsent(id: id))
        case .model where refusal.says("not found"):
            return permanent(Code.modelNotFound, "LiteLLM knows no such deployment", .probe)
        default:
            return upstream(Code.badResponse, "an unknown 404", call, changed: false)
        }
    }

    private static func serverError(_ refusal: LiteLLMRefusal, _ call: LiteLLMCall) -> LiteLLMVerdict {
        if refusal.says("unique constraint failed", "already exists") { return conflict(call) }
        if refusal.says("not loaded in") {
            // Not counted: LiteLLM answers, and goes on doing so until it is given models.
            return LiteLLMVerdict(
                error: LiteLLMError(
                    .retryable, code: Code.modelsNotLoaded, message: "LiteLLM has not loaded its models"))
        }
        if refusal.says("failed to add model to db") {
            // Also the answer to an id that exists, so it is no proof of trouble; the read that follows is.
            var verdict = upstream(Code.modelNotAdded, "LiteLLM did not add the model", call, changed: true)
            verdict.error.countsForBreaker = false
            return verdict
        }
        if refusal.says("invalid duration format", "organization doesn't exist") {
            return permanent(Code.validation, "LiteLLM rejects the request")
        }
        return upstream(Code.serverError, "status \(refusal.status)", call, changed: true)
    }

    private static func conflict(_ call: LiteLLMCall) -> LiteLLMVerdict {
        let (code, what) =
            switch call.subject {
            case .key: (Code.aliasExists, "a key of this alias exists")
            case .user: (Code.userExists, "a user of this id or e-mail exists")
            case .team: (Code.teamExists, "a team of this id exists")
            case .model: (Code.modelExists, "a deployment of this id exists")
            case .usage, .health: (Code.validation, "LiteLLM reports a conflict")
            }
        return LiteLLMVerdict(error: LiteLLMError(.conflict, code: code, message: what))
    }

    private static func permanent(
        _ code: String, _ message: String, _ confirmation: LiteLLMVerdict.Confirmation = .none
    ) -> LiteLLMVerdict {
        LiteLLMVerdict(error: LiteLLMError(.permanent, code: code, message: message), confirmation: confirmation)
    }

    private static func upstream(
        _ code: String, _ message: String, _ call: LiteLLMCall, changed: Bool
    ) -> LiteLLMVerdict {
        LiteLLMVerdict(
            error: LiteLLMError(
                .retryable, code: code, message: message, outcomeUnknown: changed && call.isWrite,
                countsForBreaker: true))
    }
}

extension Duration {
    /// The value of a `Retry-After` header, seconds or an HTTP date; nil for anything else.
    init?(retryAfter value: String, now: Date) {
        let text = value.trimmingCharacters(in: .whitespaces)
        if let seconds = Double(text), seconds >= 0, seconds < 1e9 {
            self = .milliseconds(Int64((seconds * 1000).rounded()))
            return
        }
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(secondsFromGMT: 0)
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        guard let date = format.date(from: text) else { return nil }
        self = .milliseconds(Int64(max(0, date.timeIntervalSince(now)) * 1000))
    }
}
