/// A call to LiteLLM that did not do what it was asked to, sorted by what the caller should do about it.
package struct LiteLLMError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What to do.
    package enum Kind: String, Sendable, Codable {
        /// Try again later; nothing is wrong with the request.
        case retryable
        /// Something of that name is there already; read it and compare.
        case conflict
        /// The same request can never succeed.
        case permanent
    }

    /// What to do.
    package var kind: Kind
    /// Stable, in snake case: see ``Code``.
    package var code: String
    /// The status LiteLLM answered with; nil when it did not answer.
    package var httpStatus: Int?
    /// A sentence without secrets, addresses and bodies.
    package var message: String
    /// What LiteLLM said, cut short and with secrets taken out: for operators, never for end users.
    package var detail: String?
    /// Whether the call may have changed something all the same: read before repeating. Always false for reads.
    package var outcomeUnknown: Bool
    /// How long LiteLLM asked to wait.
    package var retryAfter: Duration?
    /// Whether it tells of trouble at LiteLLM's side rather than of this request.
    package var countsForBreaker: Bool
    /// Whether no class of calls to this base URL can work.
    package var opensEveryClass: Bool

    /// An error of `kind`; the flags default to those of a fault in the request.
    package init(
        _ kind: Kind, code: String, httpStatus: Int? = nil, message: String, outcomeUnknown: Bool = false,
        retryAfter: Duration? = nil, countsForBreaker: Bool = false, opensEveryClass: Bool = false
    ) {
        self.kind = kind
        self.code = code
        self.httpStatus = httpStatus
        self.message = message
        self.outcomeUnknown = outcomeUnknown
        self.retryAfter = retryAfter
        self.countsForBreaker = countsForBreaker
        self.opensEveryClass = opensEveryClass
    }

    package var description: String { "\(code): \(message)" }
}

extension LiteLLMError {
    /// The codes in use.
    package enum Code {
        /// No connection.
        package static let unreachable = "litellm_unreachable"
        /// No complete answer in time.
        package static let timeout = "litellm_timeout"
        /// The TLS handshake failed.
        package static let tlsFailed = "litellm_tls_failed"
        /// The connection ended before the answer was complete.
        package static let connectionLost = "litellm_connection_lost"
        /// The calling task was cancelled or the transport shut down.
        package static let cancelled = "litellm_cancelled"
        /// Too many calls wait in this process already.
        package static let overloaded = "litellm_client_overloaded"
        /// LiteLLM cannot reach its database.
        package static let dbDown = "litellm_db_down"
        /// 429.
        package static let rateLimited = "litellm_rate_limited"
        /// Any other 5xx, 408 and 425.
        package static let serverError = "litellm_server_error"
        /// LiteLLM did not store a deployment and does not say why.
        package static let modelNotAdded = "litellm_model_not_added"
        /// Not the JSON, or not the route, that was expected.
        package static let badResponse = "litellm_bad_response"
        /// The answer exceeds the size limit.
        package static let responseTooLarge = "litellm_response_too_large"
        /// LiteLLM's router has no list of models, which is not the same as an empty one.
        package static let modelsNotLoaded = "litellm_models_not_loaded"
        /// A listing changed or ended early while its pages were read.
        package static let listIncomplete = "litellm_list_incomplete"
        package static let noSuchRoute = "litellm_no_such_route"
        /// A refusal that a second read did not confirm.
        package static let unconfirmed = "litellm_unconfirmed"
        /// Our master key is refused, confirmed by a second read.
        package static let masterKeyRefused = "master_key_refused"
        /// LiteLLM's administrator forbids chosen keys.
        package static let customKeysDisabled = "custom_keys_disabled"
        /// The feature needs a licence.
        package static let enterpriseOnly = "enterprise_only"
        /// 403 for another reason.
        package static let forbidden = "litellm_forbidden"
        /// LiteLLM rejects the request's content.
        package static let validation = "validation"
        /// The request cannot be sent as it is.
        package static let invalidRequest = "invalid_request"
        /// Another key has this alias.
        package static let aliasExists = "alias_exists"
        /// A user of this id or e-mail exists.
        package static let userExists = "user_exists"
        /// A team of this id exists.
        package static let teamExists = "team_exists"
        /// A deployment of this id exists.
        package static let modelExists = "model_exists"
        /// The key to change does not exist.
        package static let keyNotFound = "key_not_found"
        /// The user to act on does not exist.
        package static let userNotFound = "user_not_found"
        /// The team to act on does not exist, confirmed by a second kind of read.
        package static let teamNotFound = "team_not_found"
        /// The user is a member of the team.
        package static let alreadyMember = "already_member"
        /// The user is no member of the team.
        package static let notMember = "not_member"
        /// The deployment to change does not exist.
        package static let modelNotFound = "model_not_found"
    }
}
