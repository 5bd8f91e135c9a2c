/// Who sends a request, and whether they may.
enum Authentication {
    /// The caller's secret as sent; nil when no header carries one.
    static func credential(of call: Call) -> String? {
        if let own = call.headers.value(of: "x-litellm-api-key") {
            return own.hasPrefix("Bearer ") ? String(own.dropFirst(7)) : own
        }
        guard let header = call.headers.value(of: "authorization") else { return nil }
        for scheme in ["Bearer", "bearer", "Basic"] where header.hasPrefix(scheme) {
            return String(header.dropFirst(scheme.count)).split(separator: " ").joined()
        }
        return ""
    }

    /// Finds out who calls.
    ///
    /// - Throws: 401 in the shape that belongs to what is wrong.
    static func caller(_ call: Call, _ route: Route, _ state: State, _ masterKey: String) throws(Refusal) -> Caller {
        if case .open = route.access { return .anyone }
        guard let secret = credential(of: call) else {
            throw refused("Authentication Error, No api key passed in.")
        }
        if constantTimeEqual(secret, masterKey) { return .master }
        guard !secret.isEmpty else {
            throw refused("Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.")
        }
        guard secret.hasPrefix("sk-") else {
            throw refused("LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'.")
        }
        let token = Identifier.sha256(secret)
        guard let row = state.keys[token] else { throw unknown(secret, token) }
        guard !row.isBlocked else {
            throw refused("Authentication Error, Key is blocked. Update via `/key/unblock` if you're an admin.")
        }
        let now = state.now
        if let expires = row.expires, row.isExpired(at: now) {
            let message =
                "Authentication Error - Expired Key. Key Expiry time \(expires.python) "
                + "and current time \(now.python)"
            throw .error(401, message, type: "expired_key", param: .string(Identifier.shortened(secret)))
        }
        return try authorized(row, call, route, state)
    }

    private static func authorized(
        _ row: KeyRow, _ call: Call, _ route: Route, _ state: State
    ) throws(Refusal) -> Caller {
        let user = row.userID.flatMap { state.users[$0] }
        let role = user.map { $0.role ?? "internal_user" } ?? "unknown"
        let needsAdmin =
            "Authentication Error, Only proxy admin can be used to generate, delete, update info for new "
            + "keys/users/teams. Route=\(call.path). Your role=\(role). Your user_id=***"
        switch route.access {
        case .open, .key: break
        case .userKey: if user == nil { throw refused(needsAdmin) }
        case .admin: if role != "proxy_admin" { throw refused(needsAdmin) }
        case .modelAdmin:
            guard role != "proxy_admin" else { break }
            throw .dictionary(
                403,
                "User does not have permission to make this model call. Your role=\(role). You can only make model "
                    + "calls if you are a PROXY_ADMIN or if you are a team admin, by specifying a team_id in the "
                    + "model_info.", type: "auth_error", param: "None")
        }
        return .key(row, role: role)
    }

    private static func refused(_ message: String) -> Refusal {
        .error(401, message, type: "auth_error", param: "None")
    }

    private static func unknown(_ secret: String, _ token: String) -> Refusal {
        let shown = secret.count >= 16 ? Identifier.shortened(secret) : "sk-..."
        let message =
            "Authentication Error, Invalid proxy server token passed. Received API Key = \(shown), "
            + "Key Hash (Token) =\(token). Unable to find token in cache or `LiteLLM_VerificationTokenTable`"
        return .error(401, message, type: "token_not_found_in_db", param: "key")
    }

    /// Compares without telling by its duration where two secrets differ.
    static func constantTimeEqual(_ left: String, _ right: String) -> Bool {
        let (left, right) = (Array(left.utf8), Array(right.utf8))
        var difference = left.count ^ right.count
        for index in left.indices where !right.isEmpty {
            difference |= Int(left[index] ^ right[index % right.count])
        }
        return difference == 0
    }
}
