import Foundation
import HTTPTypes
import TestSupport
import Testing

@testable import API
@testable import Shared

@Suite("Rate limit keys", .needsDatabase, .hangGuard)
struct RateLimitKeyTests {
    private static func key(_ principal: Principal?, _ address: String = "2001:db8:1:2:3::4") -> RateLimitKey {
        RateLimitKey(principal, address: IPAddress(address)?.customer)
    }

    @Test("each kind of caller has a key and a class of its own")
    func callers() async throws {
        try await APIHarness.run { api in
            let session = Credential.session(id: UUID())
            let person = try await api.addUser()
            let user = Self.key(Principal(user: person, credential: session))
            #expect(user.text == "u:\(person.id.text)" && user.rateClass == .authenticated)
            for role in [Role.admin, .adminReadonly] {
                let person = try await api.addUser(role.rawValue, roles: [.user, role])
                let admin = Self.key(Principal(user: person, credential: session))
                #expect(admin.text == "a:\(person.id.text)" && admin.rateClass == .admin)
            }
            let apiKey = UUID()
            let byKey = Self.key(Principal(user: try await api.addAdmin(), credential: .apiKey(id: apiKey)))
            #expect(byKey.text == "k:\(apiKey.text)" && byKey.rateClass == .apiKey)
        }
    }

    @Test("programs have keys of their own, and strangers those of their address")
    func others() {
        let id = UUID()
        let service = Self.key(Principal(service: ServiceIdentity(id: id, name: "ci", permissions: [])))
        #expect(service.text == "s:\(id.text)" && service.rateClass == .admin)
        let configured = Self.key(Principal(service: ServiceIdentity(id: nil, name: "ci", permissions: [])))
        #expect(configured.text == "s:ci")
        #expect(Self.key(nil).text == "g:2001:db8:1:2::/64" && Self.key(nil).rateClass == .anonymous)
        #expect(Self.key(nil, "::ffff:192.0.2.1").text == "g:192.0.2.1")
        #expect(RateLimitKey(nil, address: nil).text == "g:unknown")
    }

    @Test("routes to sign in count by address, those that show a secret by caller, some not at all")
    func routes() {
        let address = IPAddress("192.0.2.1")?.customer
        let principal = Principal(service: ServiceIdentity(id: nil, name: "ci", permissions: []))
        let login = RouteLimit(.post, "/api/auth/login").key(principal, address: address)
        #expect(login?.text == "l:192.0.2.1" && login?.rateClass == .login)
        let reveal = RouteLimit(.post, "/api/v1/api-keys/{id}/reveal")
        #expect(reveal.key(principal, address: address)?.text == "r:ci")
        #expect(reveal.key(nil, address: address)?.text == "g:192.0.2.1")
        #expect(RouteLimit(.get, "/metrics").key(nil, address: address) == nil)
        #expect(RouteLimit(.get, "/api/v1/models").key(nil, address: address)?.text == "g:192.0.2.1")
    }
}
