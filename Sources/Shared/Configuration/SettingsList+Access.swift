extension SettingsList {
    // MARK: Sign-in and access

    static let jwtSecret = Setting(
        "JWT_SECRET", .secret(minimumBytes: 32), default: Secret(""), .auth, usedBy: [.api], requiredBy: [.api],
        generator: "openssl rand -base64 48", "Signs the session tokens; the same for all API processes.")
    static let jwtLifetime = Setting(
        "JWT_EXPIRES_IN", .duration(.seconds, 60...2_592_000), default: .seconds(86_400), .auth, usedBy: [.api],
        example: "24h", "How long a session token is good for.")
    static let previousJWTSecret = Setting(
        "JWT_SECRET_PREVIOUS", SettingParser<Secret>.secret(minimumBytes: 32).optional, default: nil, .auth,
        usedBy: [.api],
        "The `JWT_SECRET` before the last change: its tokens are accepted until it is removed.")
    static let refreshLifetime = Setting(
        "REFRESH_TOKEN_EXPIRES_IN", .duration(.seconds, 3600...31_536_000), default: .seconds(30 * 86_400), .auth,
        usedBy: [.api], example: "30d",
        "How long a session that was begun with a refresh token lasts, however often it is refreshed.")
    static let serviceTokens = Setting(
        "ADMIN_API_KEYS", .serviceTokens, default: [], .auth, usedBy: [.api],
        generator: "echo \"ltm_admin_$(openssl rand -hex 32)\"",
        "Service tokens with the rights of an administrator. Tokens with scopes and an expiry are made by the API.")
    static let mockAuth = Setting(
        "MOCK_AUTH", aliases: ["OAUTH_MOCK_ENABLED"], .boolean, default: false, .auth, usedBy: [.api],
        "Lets anybody sign in as one of the built-in users. For development only; refused with `APP_ENV=production`.")
    static let bootstrapAdmins = Setting(
        "ADMIN_BOOTSTRAP_USERS", aliases: ["INITIAL_ADMIN_USERS"], .list(of: "user names or e-mail addresses"),
        default: [], .auth, usedBy: [.api], example: "alice,bob@example.com",
        "Users who become administrators when they sign in.")

    static let auth =
        [
            jwtSecret.definition, previousJWTSecret.definition, jwtLifetime.definition, refreshLifetime.definition,
            serviceTokens.definition, mockAuth.definition, bootstrapAdmins.definition,
        ] + oauth

    // MARK: New users

    static let defaultRoles = Setting(
        "DEFAULT_USER_ROLES", .list(of: "roles (user, readonly, admin-readonly, admin)", element: role),
        default: ["user"], .users, usedBy: [.api, .cli], "Roles of a user who signs in for the first time.")
    static let defaultBudget = Setting(
        "DEFAULT_USER_MAX_BUDGET", .number(0...1_000_000_000), default: 100, .users, usedBy: [.api, .cli],
        "The budget of a new user, in LiteLLM's currency.")
    static let defaultTPM = Setting(
        "DEFAULT_USER_TPM_LIMIT", .integer(0...1_000_000_000), default: 100_000, .users, usedBy: [.api, .cli],
        "Tokens per minute of a new user.")
    static let defaultRPM = Setting(
        "DEFAULT_USER_RPM_LIMIT", .integer(0...1_000_000_000), default: 120, .users, usedBy: [.api, .cli],
        "Requests per minute of a new user.")

    static let users = [
        defaultRoles.definition, defaultBudget.definition, defaultTPM.definition, defaultRPM.definition,
    ]

    // MARK: Keys and secrets

    static let secretsKeys = Setting(
        "SECRETS_KEYS", .sealer, default: .ephemeral(), .keys, requiredBy: [.api, .worker],
        generator: "echo \"k1:$(openssl rand -base64 32)\"",
        "Keys that encrypt secrets at rest. The first one seals, all open: to replace a key, put the new one in front.")
    static let secretRetention = Setting(
        "SECRET_RETENTION_MINUTES", .duration(.minutes, 1...10_080), default: .seconds(15 * 60), .keys,
        usedBy: [.worker],
        "How long a new key's secret is kept (sealed) to answer a repeated request.")
    static let keyDeleteGrace = Setting(
        "KEY_DELETE_GRACE_MINUTES", .duration(.minutes, 1...1440), default: .seconds(10 * 60), .keys,
        usedBy: [.worker],
        "How long a revoked key stays blocked in LiteLLM before it is deleted there.")
    static let keyRotationGrace = Setting(
        "KEY_ROTATION_GRACE_MINUTES", .duration(.minutes, 0...10_080), default: .zero, .keys, usedBy: [.api],
        "How long a key's old secret works on after LiteLLM has the new one, unless the request says otherwise.")
    static let keyReveal = Setting(
        "KEY_REVEAL_ENABLED", .boolean, default: false, .keys, usedBy: [.api, .worker],
        "Whether secrets of keys made from now on are kept (sealed) while they live, so that owners can see them again."
    )
    static let maxKeysPerUser = Setting(
        "MAX_KEYS_PER_USER", .integer(1...100_000), default: 10, .keys, usedBy: [.api, .worker],
        "How many active keys one user may have.")

    static let bulkResultsWindow = Setting(
        "BULK_RESULTS_WINDOW_MINUTES", .duration(.minutes, 0...10_080), default: .seconds(24 * 3600), .keys,
        usedBy: [.worker],
        "How long whoever asked for many keys at once can read their secrets (sealed meanwhile), counted from when "
            + "LiteLLM was seen to have the key; 0 for never.")
    static let bulkRetention = Setting(
        "BULK_RETENTION_DAYS", .duration(.days, 1...3650), default: .seconds(365 * 86_400), .keys, usedBy: [.worker],
        "How long batches of keys are kept once they ended, from when they were asked for; their keys stay: the "
            + "schedule `key-batches-purge`, unless an operator changed it.")

    static let keys = [
        secretsKeys.definition, secretRetention.definition, keyDeleteGrace.definition,
        keyRotationGrace.definition, maxKeysPerUser.definition, keyReveal.definition,
        bulkResultsWindow.definition, bulkRetention.definition,
    ]

    /// A role's name as the API writes it.
    @Sendable static func role(_ text: String) throws(SettingRefusal) -> String {
        switch text {
        case "adminReadonly", "admin-readonly": return "admin-readonly"
        case "admin", "user", "readonly": return text
        default: throw SettingRefusal()
        }
    }
}
