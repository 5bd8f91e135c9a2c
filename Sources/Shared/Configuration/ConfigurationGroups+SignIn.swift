import Foundation

/// Sign-in through an OAuth provider.
package struct OAuthConfiguration: Sendable {
    /// `AUTH_PROVIDER`.
    package let provider: SignInProvider
    /// `OAUTH_CLIENT_ID`.
    package let clientId: String
    /// `OAUTH_CLIENT_SECRET`.
    package let clientSecret: Secret
    /// `OAUTH_ISSUER`, letter for letter.
    package let issuer: String
    /// `OAUTH_CALLBACK_URL`.
    package let callbackURL: String
    /// `OPENSHIFT_API_URL`, derived where it was left out; empty where it is not needed.
    package let openshiftAPI: String
    /// `OPENSHIFT_EMAIL_DOMAIN`.
    package let emailDomain: String?
    /// `OIDC_GROUPS_CLAIM`.
    package let groupsClaim: String
    /// `OIDC_SCOPES`, or the provider's usual ones.
    package let scopes: String
    /// `OAUTH_GROUP_ROLES`.
    package let groupRoles: [GroupRole]
    /// `OAUTH_CA_FILE`.
    package let caFile: String?
    /// Whether the provider must be reached by https.
    package let requiresHTTPS: Bool

    /// Reads the settings. What is missing or unsafe is a problem only where `isNeeded`.
    init(_ reader: inout SettingsReader, publicURL: String, environment: AppEnvironment, isNeeded: Bool) {
        provider = reader.read(SettingsList.authProvider)
        let id = reader.read(SettingsList.oauthClientId)
        clientSecret = reader.read(SettingsList.oauthClientSecret)
        let issuer = reader.read(SettingsList.oauthIssuer)
        callbackURL = reader.read(SettingsList.oauthCallbackURL) ?? "\(publicURL)/api/auth/callback"
        let api = reader.read(SettingsList.openshiftAPI)
        emailDomain = reader.read(SettingsList.openshiftEmailDomain)
        groupsClaim = reader.read(SettingsList.oidcGroupsClaim)
        let usual = provider == .oidc ? "openid profile email" : "user:info user:check-access"
        scopes = reader.read(SettingsList.oidcScopes) ?? usual
        groupRoles = reader.read(SettingsList.oauthGroupRoles)
        caFile = reader.read(SettingsList.oauthCAFile)
        requiresHTTPS = environment == .production
        clientId = id ?? ""
        self.issuer = issuer ?? ""
        openshiftAPI = provider == .openshift ? api ?? issuer.flatMap(Self.openshiftAPI) ?? "" : ""
        guard isNeeded else { return }
        checkPresence(&reader)
        checkSchemes(&reader, openshiftAPI: api)
        if provider == .oidc, !scopes.split(separator: " ").contains("openid") {
            reader.refuse(
                SettingsList.oidcScopes.definition, "does not hold the scope openid, so that no ID token would come",
                fix: "add openid to it")
        }
    }

    private func checkPresence(_ reader: inout SettingsReader) {
        let problem = "is not set, so that nobody could sign in"
        let orMock = "; or MOCK_AUTH to true on a machine for development"
        if clientId.isEmpty, !reader.hasProblem(SettingsList.oauthClientId.definition) {
            reader.refuse(
                SettingsList.oauthClientId.definition, problem, fix: "set it to the client id at the provider" + orMock)
        }
        if clientSecret.isEmpty, !reader.hasProblem(SettingsList.oauthClientSecret.definition) {
            reader.refuse(
                SettingsList.oauthClientSecret.definition, problem,
                fix: "set it to the client's secret at the provider" + orMock)
        }
        if issuer.isEmpty, !reader.hasProblem(SettingsList.oauthIssuer.definition) {
            reader.refuse(
                SettingsList.oauthIssuer.definition, problem,
                fix: "set it to the provider's issuer, for example \(SettingsList.oauthIssuer.definition.example)"
                    + orMock)
        }
        if provider == .openshift, openshiftAPI.isEmpty, !issuer.isEmpty,
            !reader.hasProblem(SettingsList.openshiftAPI.definition)
        {
            reader.refuse(
                SettingsList.openshiftAPI.definition, "is not set, and cannot be derived from OAUTH_ISSUER",
                fix: "set it to the cluster's API, for example \(SettingsList.openshiftAPI.definition.example)")
        }
    }

    private func checkSchemes(_ reader: inout SettingsReader, openshiftAPI: String?) {
        guard requiresHTTPS else { return }
        for (definition, url) in [
            (SettingsList.oauthIssuer.definition, issuer), (SettingsList.openshiftAPI.definition, openshiftAPI ?? ""),
        ] where !url.isEmpty && !url.lowercased().hasPrefix("https://") {
            reader.refuse(
                definition, "is '\(url.prefix(80))' while APP_ENV is production: secrets would travel readable",
                fix: "use the provider's https URL")
        }
    }

    /// The cluster's API as installers name it beside the OAuth server; nil for any other host.
    private static func openshiftAPI(of issuer: String) -> String? {
        let prefix = "oauth-openshift.apps."
        guard var url = URLComponents(string: issuer), let host = url.host?.lowercased() else { return nil }
        if host.hasPrefix("api.") { return issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer }
        guard host.hasPrefix(prefix) else { return nil }
        url.host = "api." + host.dropFirst(prefix.count)
        url.port = 6443
        url.path = ""
        return url.string
    }
}
