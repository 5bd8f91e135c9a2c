extension SettingsList {
    // MARK: Request limits

    static let rateLimitGlobal = limit(
        "RATE_LIMIT_GLOBAL", aliases: ["RATE_LIMIT_MAX"], 100,
        "Requests a minute from one address (IPv6: one /64) by callers who are not signed in, or not validly.")
    static let rateLimitAuthenticated = limit(
        "RATE_LIMIT_AUTHENTICATED", 1000, "Requests a minute of one signed-in user.")
    static let rateLimitAPIKey = limit("RATE_LIMIT_API_KEY", 10_000, "Requests a minute with one API key.")
    static let rateLimitAdmin = limit(
        "RATE_LIMIT_ADMIN", 5000, "Requests a minute of one administrator or one service token.")
    static let rateLimitLogin = limit(
        "RATE_LIMIT_LOGIN", 20, "Sign-ins a minute from one address (IPv6: one /64).")
    static let rateLimitReveal = limit(
        "RATE_LIMIT_REVEAL", 5, "Requests a minute of one user to see a key's secret again.")

    static let limits: [SettingDefinition] = [
        rateLimitGlobal.definition, rateLimitAuthenticated.definition, rateLimitAPIKey.definition,
        rateLimitAdmin.definition, rateLimitLogin.definition, rateLimitReveal.definition,
        .unread(
            "RATE_LIMIT_TIME_WINDOW", .limits, .withoutEffect("limits are always by the minute"), example: "1m",
            "The window of the limits."),
    ]

    private static func limit(
        _ name: String, aliases: [String] = [], _ fallback: Int, _ summary: String
    ) -> Setting<Int> {
        Setting(
            name, aliases: aliases, .integer(0...10_000_000), default: fallback, .limits, usedBy: [.api],
            "\(summary) Holds for all API processes together; 0 switches it off.")
    }
}

/// Requests a minute, by who asks; 0 for no limit.
package struct RateLimitSettings: Sendable, Equatable {
    /// `RATE_LIMIT_GLOBAL`: of an address whose callers are not signed in.
    package var anonymous = SettingsList.rateLimitGlobal.fallback
    /// `RATE_LIMIT_AUTHENTICATED`: of a user.
    package var authenticated = SettingsList.rateLimitAuthenticated.fallback
    /// `RATE_LIMIT_API_KEY`: of a key.
    package var apiKey = SettingsList.rateLimitAPIKey.fallback
    /// `RATE_LIMIT_ADMIN`: of an administrator or a service token.
    package var admin = SettingsList.rateLimitAdmin.fallback
    /// `RATE_LIMIT_LOGIN`: of an address, for signing in.
    package var login = SettingsList.rateLimitLogin.fallback
    /// `RATE_LIMIT_REVEAL`: of a user, for secrets of keys.
    package var reveal = SettingsList.rateLimitReveal.fallback

    /// The defaults.
    package init() {}

    /// No limits at all.
    package static var off: RateLimitSettings {
        var settings = RateLimitSettings()
        settings.anonymous = 0
        settings.authenticated = 0
        settings.apiKey = 0
        settings.admin = 0
        settings.login = 0
        settings.reveal = 0
        return settings
    }

    init(_ reader: inout SettingsReader) {
        anonymous = reader.read(SettingsList.rateLimitGlobal)
        authenticated = reader.read(SettingsList.rateLimitAuthenticated)
        apiKey = reader.read(SettingsList.rateLimitAPIKey)
        admin = reader.read(SettingsList.rateLimitAdmin)
        login = reader.read(SettingsList.rateLimitLogin)
        reveal = reader.read(SettingsList.rateLimitReveal)
    }
}
