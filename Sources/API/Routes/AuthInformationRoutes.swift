import Hummingbird
import Shared

/// What operators see of the sign-in provider.
struct AuthInformationRoutes: RouteGroup {
    let provider: any IdentityProvider

    var routes: [Route] {
        [.permitted(.adminUsage, .get, "/api/v1/admin/auth/info", information)]
    }

    private func information(_ call: AuthenticatedCall) async throws -> Response {
        let information = await provider.information()
        return .json(
            Members { json in
                json.member("provider", provider.name)
                if let issuer = information.issuer { json.member("issuer", issuer) } else { json.nullMember("issuer") }
                if let claim = information.groupsClaim {
                    json.member("groupsClaim", claim)
                } else {
                    json.nullMember("groupsClaim")
                }
                json.member("discoveryStatus", information.discoveryStatus)
            })
    }
}
