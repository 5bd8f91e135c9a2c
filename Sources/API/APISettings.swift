import Shared

/// What the routes need to know of the configuration. Built once, at the start, from checked values.
struct APISettings: Sendable {
    var environment = AppEnvironment.development
    /// Where this API is reached from outside, without a slash at the end; also where the identity provider sends
    /// browsers back to.
    var publicURL = "http://localhost:8081"
    /// Front ends a browser may be sent back to after signing in; the first one is the default.
    var frontendOrigins = ["http://localhost:3000"]
    /// Where users of keys reach LiteLLM.
    var litellmURL = "http://localhost:4000"
    var litellmTimeout: Duration = .seconds(30)
    /// Roles of somebody whom the identity provider gives none.
    var defaultRoles: [Role] = [.user]
    /// What a new user may spend, unless administrators have set something else.
    var defaultLimits = SpendingLimits()
    /// The configured service tokens, which may do everything.
    var serviceTokens: [Secret] = []
    /// How long a session may be refreshed, from its beginning.
    var refreshLifetime: Duration = .seconds(30 * 86_400)
    /// In lower case: user names and e-mail addresses that are given the role admin when they sign in.
    var bootstrapAdmins: Set<String> = []
    /// How many requests a caller may make.
    var rateLimits = RateLimitSettings()
    /// Proxies whose word on where a request comes from is believed.
    var trustedProxies: [IPNetwork] = []
    /// Addresses that are not public and that a test of a model may connect to.
    var modelTestNetworks: [IPNetwork] = []
    /// How long a day's usage counts as fresh, in minutes.
    var usageCacheMinutes = 5
}
