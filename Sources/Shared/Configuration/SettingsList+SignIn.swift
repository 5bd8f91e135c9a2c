import Foundation

/// How people sign in.
package enum SignInProvider: String, Sendable, CaseIterable {
    /// OpenShift's OAuth server.
    case openshift
    /// OpenID Connect.
    case oidc
}

/// What membership of a group at the sign-in provider makes of somebody here.
package struct GroupRole: Sendable, Hashable, CustomStringConvertible {
    /// The group, as the provider spells it.
    package let group: String
    /// `user`, `readonly`, `admin-readonly`, `admin`.
    package let role: String

    /// `group=role`.
    package var description: String { "\(group)=\(role)" }
}

extension SettingsList {
    // MARK: Sign-in through OAuth

    static let authProvider = Setting(
        "AUTH_PROVIDER", .choice(), default: SignInProvider.openshift, .auth, usedBy: [.api],
        "How people sign in: through OpenShift's OAuth server, or any OpenID Connect provider (`oidc`). With "
            + "`MOCK_AUTH=true` neither is used.")
    static let oauthClientId = Setting(
        "OAUTH_CLIENT_ID", SettingParser<String>.text.optional, default: nil, .auth, usedBy: [.api],
        example: "litemaas", "The client id at the sign-in provider. Needed unless `MOCK_AUTH=true`.")
    static let oauthClientSecret = Setting(
        "OAUTH_CLIENT_SECRET", .secret(), default: Secret(""), .auth, usedBy: [.api],
        "The client's secret. Needed unless `MOCK_AUTH=true`.")
    static let oauthIssuer = Setting(
        "OAUTH_ISSUER", SettingParser<String>.issuer.optional, default: nil, .auth, usedBy: [.api],
        example: "https://sso.example.com/realms/staff",
        "The provider's issuer, letter for letter as its discovery document names it; for OpenShift the URL of the "
            + "OAuth server (`https://oauth-openshift.apps...`) or of the cluster's API. Must be https with "
            + "`APP_ENV=production`. Needed unless `MOCK_AUTH=true`. The users' ids at the provider are unique only "
            + "within one issuer: do not point an installation with users to another one.")
    static let oauthCallbackURL = Setting(
        "OAUTH_CALLBACK_URL", SettingParser<String>.url(schemes: ["http", "https"]).optional, default: nil, .auth,
        usedBy: [.api], example: "https://litemaas.example.com/api/auth/callback",
        "Where the provider sends users back to; must be registered there. Left out: `PUBLIC_URL` and "
            + "`/api/auth/callback`.")
    static let openshiftAPI = Setting(
        "OPENSHIFT_API_URL", SettingParser<String>.url(schemes: ["http", "https"]).optional, default: nil, .auth,
        usedBy: [.api], example: "https://api.cluster.example:6443",
        "The cluster's API, which tells who signed in. Left out: derived from `OAUTH_ISSUER` where its host begins with "
            + "`oauth-openshift.apps.` or `api.`.")
    static let openshiftEmailDomain = Setting(
        "OPENSHIFT_EMAIL_DOMAIN", SettingParser<String>.domain.optional, default: nil, .auth, usedBy: [.api],
        example: "example.com",
        "OpenShift tells no e-mail address: it is the user's name, followed by `@` and this domain unless there is an "
            + "`@` in it. Set it only if that is the user's real address: a user made ahead with it is then theirs. "
            + "Left out: `openshift.invalid`, which links nobody.")
    static let oidcGroupsClaim = Setting(
        "OIDC_GROUPS_CLAIM", .text, default: "groups", .auth, usedBy: [.api],
        "The claim of the ID token, or of the user info, that lists the groups. With dots in it, also a path "
            + "(`realm_access.roles`).")
    static let oidcScopes = Setting(
        "OIDC_SCOPES", SettingParser<String>.scopes.optional, default: nil, .auth, usedBy: [.api],
        example: "openid profile email groups",
        "The scopes to ask for, separated by spaces. Left out: `openid profile email`; for OpenShift `user:info "
            + "user:check-access`.")
    static let oauthGroupRoles = Setting(
        "OAUTH_GROUP_ROLES", .list(of: "group=role pairs (user, readonly, admin-readonly, admin)", element: groupRole),
        default: [
            GroupRole(group: "litemaas-admins", role: "admin"),
            GroupRole(group: "litemaas-readonly", role: "admin-readonly"),
            GroupRole(group: "litemaas-users", role: "user"),
        ], .auth, usedBy: [.api],
        "What the provider's groups make of people, at each sign-in anew; `admin` and `admin-readonly` are `user` too. "
            + "Nobody's group: `DEFAULT_USER_ROLES`. For groups with commas write a JSON array of strings.")
    static let oauthCAFile = Setting(
        "OAUTH_CA_FILE", SettingParser<String>.readableFile.optional, default: nil, .auth, usedBy: [.api],
        example: "/etc/litemaas/sso-ca.pem",
        "Certificate authorities (PEM) to trust towards the sign-in provider, in place of the system's.")

    static let oauth: [SettingDefinition] = [
        authProvider.definition, oauthClientId.definition, oauthClientSecret.definition, oauthIssuer.definition,
        oauthCallbackURL.definition, openshiftAPI.definition, openshiftEmailDomain.definition,
        oidcGroupsClaim.definition, oidcScopes.definition, oauthGroupRoles.definition, oauthCAFile.definition,
        .unread(
            "K8S_API_SKIP_TLS_VERIFY", .auth,
            .withoutEffect("certificates are always checked; name the authority in `OAUTH_CA_FILE`"),
            example: "false", "Whether the certificate of the cluster's API was not checked."),
        .unread(
            "ALLOW_DEV_TOKENS", .auth, .withoutEffect("tokens without a sign-in exist only with `MOCK_AUTH=true`"),
            example: "false", "Whether tokens could be had without a sign-in outside development."),
        .unread(
            "ALLOWED_FRONTEND_ORIGINS", .auth, .withoutEffect("no origin is let in without a sign-in"),
            example: "localhost:3000", "Origins that were let in without a sign-in."),
    ]

    /// The last equals sign divides: names of groups may hold others.
    @Sendable private static func groupRole(_ text: String) throws(SettingRefusal) -> GroupRole {
        guard let sign = text.lastIndex(of: "="), sign > text.startIndex else { throw SettingRefusal() }
        let name = text[text.index(after: sign)...].trimmingCharacters(in: .whitespaces)
        return GroupRole(
            group: text[..<sign].trimmingCharacters(in: .whitespaces), role: try role(name))
    }
}

extension SettingParser where Value == String {
    /// A URL as `url` takes it, kept letter for letter: an issuer may end with a slash.
    static var issuer: SettingParser {
        let url = SettingParser.url(schemes: ["http", "https"])
        return SettingParser(
            form: url.form,
            parse: { text throws(SettingRefusal) in
                _ = try url.parse(text)
                return text
            }, render: { $0 })
    }

    /// A domain name.
    static var domain: SettingParser {
        SettingParser(
            form: "a domain such as example.com",
            parse: { text throws(SettingRefusal) in
                let isName = text.utf8.allSatisfy {
                    switch $0 {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                        UInt8(ascii: "-"), UInt8(ascii: "."):
                        true
                    default: false
                    }
                }
                guard isName, text.contains("."), !text.hasPrefix("."), !text.hasSuffix(".") else {
                    throw SettingRefusal("in lower case")
                }
                return text
            }, render: { $0 })
    }

    /// Scopes with one space between them.
    static var scopes: SettingParser {
        SettingParser(
            form: "scopes separated by spaces",
            parse: { text throws(SettingRefusal) in
                let isPrintable = text.utf8.allSatisfy { (0x20...0x7e).contains($0) && $0 != 0x22 && $0 != 0x5c }
                guard isPrintable else { throw SettingRefusal() }
                return text.split(separator: " ").joined(separator: " ")
            }, render: { $0 })
    }
}
