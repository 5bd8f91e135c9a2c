import Foundation
import HTTPTypes
import JWTKit
import Synchronization
import Testing

@testable import API
@testable import Shared

@Suite("Session tokens")
struct SessionTokenTests {
    private static let user = User(
        id: UUID(), username: "alice", email: "alice@example.com", fullName: nil, oauthProvider: "test",
        oauthId: "alice", roles: [.adminReadonly, .user], isActive: true, limits: SpendingLimits(),
        sync: SyncState(status: .synced), lastLoginAt: nil, createdAt: Date(), updatedAt: Date())

    private static let session = session(lifetime: 3600)

    private static func session(lifetime: TimeInterval) -> Session {
        Session(
            id: UUID(), userId: user.id, provider: "test", createdAt: Date(), lastSeenAt: Date(),
            expiresAt: Date(timeIntervalSinceNow: lifetime))
    }

    private static func tokens(
        _ secret: String = "a secret of at least thirty-two bytes", previous: String? = nil,
        now: @escaping @Sendable () -> Date = { Date() }
    ) async -> SessionTokens {
        await SessionTokens(secret: Secret(secret), previous: previous.map { Secret($0) }, lifetime: 60, now: now)
    }

    @Test("after a change of the secret the tokens of the one before are good, of older ones not")
    func rotation() async throws {
        let first = "the first secret of thirty-two bytes or more"
        let second = "the second secret of thirty-two bytes or more"
        let token = try await Self.tokens(first).issue(for: Self.user, session: Self.session)
        let changed = await Self.tokens(second, previous: first)
        #expect(try await changed.claims(of: token).sid == Self.session.id.text)
        let new = try await changed.issue(for: Self.user, session: Self.session)
        let done = await Self.tokens(second)
        #expect(try await done.claims(of: new).sid == Self.session.id.text)
        let error = await #expect(throws: APIError.self) { try await done.claims(of: token) }
        #expect(error?.code == .invalidToken)
    }

    @Test("a token never outlives its session")
    func sessionEnd() async throws {
        let tokens = await Self.tokens()
        let session = Self.session(lifetime: 10)
        let claims = try await tokens.claims(of: try await tokens.issue(for: Self.user, session: session))
        #expect(abs(claims.exp.value.timeIntervalSince(session.expiresAt)) < 1)
    }

    @Test("a token carries what LiteMaaS clients read, and an id of its own")
    func claims() async throws {
        let tokens = await Self.tokens()
        let token = try await tokens.issue(for: Self.user, session: Self.session)
        let claims = try await tokens.claims(of: token)
        #expect(claims.userId == Self.user.id.text)
        #expect(claims.username == "alice" && claims.email == "alice@example.com")
        #expect(claims.roles == ["admin-readonly", "user"])
        #expect(claims.exp.value.timeIntervalSince(claims.iat.value) == 60)
        let other = try await tokens.claims(of: try await tokens.issue(for: Self.user, session: Self.session))
        #expect(claims.tokenId != other.tokenId)
        // The second time the signature is known to be right.
        #expect(try await tokens.claims(of: token) == claims)
    }

    @Test("the payload has exactly the claims of the contract")
    func payload() async throws {
        let tokens = await Self.tokens()
        let token = try await tokens.issue(for: Self.user, session: Self.session)
        let part = try #require(token.split(separator: ".").dropFirst().first)
        var base64 = String(part).replacing("-", with: "+").replacing("_", with: "/")
        while base64.count % 4 != 0 { base64 += "=" }
        let json = try JSONParser.parse(Array(try #require(Data(base64Encoded: base64))))
        #expect(
            json.objectValue.map { Set($0.keys) } == [
                "userId", "username", "email", "roles", "sid", "iat", "exp", "jti",
            ])
    }

    @Test("another secret, another algorithm, a changed payload and rubbish are refused")
    func refused() async throws {
        let tokens = await Self.tokens()
        let token = try await tokens.issue(for: Self.user, session: Self.session)
        var parts = token.split(separator: ".").map(String.init)
        let others = await Self.tokens("another secret of thirty-two bytes or more")
        let foreign = try await others.issue(for: Self.user, session: Self.session)
        let unsigned = "eyJhbGciOiJub25lIn0.\(parts[1])."
        let forged = foreign.split(separator: ".").map(String.init)
        let mixed = [parts[0], forged[1], parts[2]].joined(separator: ".")
        parts[2] = String(parts[2].reversed())
        for bad in [
            foreign, unsigned, mixed, parts.joined(separator: "."), "", "a.b.c", "x",
            String(repeating: "a", count: 9000),
        ] {
            let error = await #expect(throws: APIError.self) { try await tokens.claims(of: bad) }
            #expect(error?.code == .invalidToken && error?.status == .unauthorized, "\(bad.prefix(40))")
        }
    }

    @Test("expiry is judged every time, also for a token that was seen before")
    func expiry() async throws {
        let time = Mutex(Date())
        let tokens = await Self.tokens(now: { time.withLock { $0 } })
        let token = try await tokens.issue(for: Self.user, session: Self.session)
        _ = try await tokens.claims(of: token)
        time.withLock { $0 += 61 }
        let error = await #expect(throws: APIError.self) { try await tokens.claims(of: token) }
        #expect(error?.code == .tokenExpired)
        let fresh = await Self.tokens(now: { time.withLock { $0 } })
        let again = await #expect(throws: APIError.self) { try await fresh.claims(of: token) }
        #expect(again?.code == .tokenExpired)
    }
}
