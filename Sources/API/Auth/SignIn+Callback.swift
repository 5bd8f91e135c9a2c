import HTTPTypes
import Jobs
import Logging
import Shared

// What the callback has to find out before there is a user, and the notes of sign-ins that fail. A note names the reason
// in a word; neither codes nor tokens nor texts of the provider are in it.
extension SignIn {
    /// Where the browser goes to sign in.
    func authorizationURL(for attempt: SignInAttempt) async throws -> String {
        do {
            return try await provider.authorizationURL(for: attempt)
        } catch let failure as SignInFailure {
            logger.warning("sign-in cannot begin: \(failure.reason): \(failure.detail ?? "")")
            throw failure.apiError
        }
    }

    /// The sign-in that the state belongs to, which is thereby used up.
    func begun(by state: String, from call: Call) async throws -> OAuthState {
        let begun = try await states.take(stateHash: sha256Hex(state), in: database)
        guard let begun, begun.provider == provider.name else {
            // Anybody can come with a state that nobody began.
            if strangers.take(at: .now) { try await note("AUTH_FAILED", "unknown_state", from: call) }
            throw APIError.validation("state", .invalid, "is unknown, was used before or has expired; sign in again")
        }
        return begun
    }

    /// Who the code stands for.
    func identity(code: String, of begun: OAuthState, from call: Call) async throws -> ExternalIdentity {
        do {
            return try await provider.identity(code: code, of: begun)
        } catch let failure as SignInFailure {
            throw try await noted(failure, from: call)
        }
    }

    /// The error of a sign-in that the provider sent back without a code.
    ///
    /// - Parameter error: the provider's word for it, such as `access_denied`.
    func refusal(_ error: String, state: String, from call: Call) async throws -> APIError {
        _ = try await begun(by: state, from: call)
        let word = SignInFailure.word(error)
        guard word == "access_denied" else {
            return try await noted(.refused("provider_\(word)"), from: call)
        }
        return try await noted(
            SignInFailure(
                kind: .denied, reason: word, message: "The sign-in was cancelled, or the provider does not allow it."),
            from: call)
    }

    /// Notes a sign-in that fails because the person's name or address is already somebody else's.
    func noting<Result: Sendable>(from call: Call, _ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch let error as ProvisioningError where [.usernameTaken, .emailTaken, .identityTaken].contains(error.code)
        {
            throw try await taken(from: call)
        } catch let error as PostgresError where error.isUniqueViolation() {
            throw try await taken(from: call)
        }
    }

    private func taken(from call: Call) async throws -> APIError {
        try await note("AUTH_FAILED", "name_or_address_taken", from: call)
        return APIError(
            .conflict, .alreadyExists, "Another user has this name or e-mail address.",
            details: ErrorDetails(
                suggestion:
                    "Ask an administrator: a user that was made ahead of the first sign-in is yours only if the "
                    + "sign-in provider vouches for the address."))
    }

    private func noted(_ failure: SignInFailure, from call: Call) async throws -> APIError {
        logger.warning("sign-in failed: \(failure.reason): \(failure.detail ?? "")")
        try await note(failure.kind == .denied ? "AUTH_DENIED" : "AUTH_FAILED", failure.reason, from: call)
        return failure.apiError
    }

    private func note(_ action: String, _ reason: String, from call: Call) async throws {
        let actor = AuditActor(
            userId: nil, name: "anonymous", ipAddress: call.context.clientAddress, userAgent: call.userAgent,
            requestId: call.context.requestId)
        try await audit.append(
            AuditEntry(
                actor: actor, action: action, resourceType: "AUTH", resourceId: nil, success: false,
                errorMessage: reason,
                metadata: ["provider": .string(provider.name), "reason": .string(reason)]),
            in: database)
    }
}
