import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

/// Every route, asked by every kind of caller, against the committed `access-matrix.csv`. A cell is `ok` (let in: anything
/// but 401, 403 and, for an object that is there, 404), or the status of the refusal.
///
/// After adding a route run the test once with `ACCESS_MATRIX_PRINT=1`, read the row it prints, and commit it.
@Suite("Who may use which route", .needsDatabase, .hangGuard)
struct AccessMatrixTests {
    /// Kinds of callers; the columns.
    private enum Caller: String, CaseIterable {
        case anonymous
        case user
        case owner
        case otherUser = "other user"
        case apiKey = "owner's key"
        case readonlyAdmin = "admin-readonly"
        case admin
        case scoped = "service token with scope"
        case unscoped = "service token without scope"
        case expired
        case revoked
        case deactivated
    }

    private static let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appending(path: "access-matrix.csv")

    private static func name(_ route: Route) -> String { "\(route.method.rawValue) \(route.path)" }

    /// The committed rows, by route.
    private static func committed() throws -> [String: [String]] {
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
        #expect(lines.first == "route," + Caller.allCases.map(\.rawValue).joined(separator: ","))
        return Dictionary(
            lines.dropFirst().map { line in
                let cells = line.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
                return (cells[0], Array(cells.dropFirst()))
            }, uniquingKeysWith: { first, _ in first })
    }

    @Test("every route answers every kind of caller as the matrix says")
    func matrix() async throws {
        let isPrinting = ProcessInfo.processInfo.environment["ACCESS_MATRIX_PRINT"] == "1"
        let expected = try Self.committed()
        try await APIHarness.run({ $0.provisioning.maxActiveKeysPerUser = 10_000 }) { api in
            let people = try await People(api)
            let routes = allRoutes(api.dependencies)
            var cells = 0
            for route in routes {
                var row: [String] = []
                for caller in Caller.allCases { row.append(try await people.verdict(route, caller)) }
                cells += row.count
                if isPrinting { print(([Self.name(route)] + row).joined(separator: ",")) }
                #expect(expected[Self.name(route)] == row, "\(Self.name(route))")
            }
            #expect(Set(expected.keys).subtracting(routes.map(Self.name)) == [], "rows of routes that are gone")
            print("access matrix: \(routes.count) routes, \(Caller.allCases.count) kinds of callers, \(cells) cells")
        }
    }

    /// The callers and what they ask about.
    private struct People {
        let api: APIHarness
        let user, owner, other, readonlyAdmin, admin, deactivated: User
        let ownersKey: String

        init(_ api: APIHarness) async throws {
            self.api = api
            try await api.addModels("gpt")
            user = try await api.addUser("user")
            owner = try await api.addUser("owner")
            other = try await api.addUser("other")
            readonlyAdmin = try await api.addUser("reader", roles: [.adminReadonly, .user])
            admin = try await api.addAdmin()
            deactivated = try await api.addUser("gone", roles: [.admin, .user], isActive: false)
            _ = try await api.createKey("Other's", as: other)
            ownersKey = try #require(try await api.createKey("Credential", as: owner)["key"]?.stringValue)
        }

        func verdict(_ route: Route, _ caller: Caller) async throws -> String {
            let headers = try await credentials(caller, route)
            let path = try await path(of: route)
            let answer = try await api.send(route.method, path, headers: headers)
            switch answer.status {
            case 401, 403: return String(answer.status)
            case 404 where path != route.path && isAboutOwned(route): return "404"
            default: return "ok"
            }
        }

        /// Whether the path names an object that is there, so that 404 is a refusal.
        private func isAboutOwned(_ route: Route) -> Bool {
            [
                "/api/v1/api-keys/{id}", "/api/v1/teams/{id}", "/api/v1/jobs/{id}", "/api/v1/subscriptions/{id}",
                "/api/auth/sessions/{",
            ].contains { route.path.hasPrefix($0) }
        }

        /// The route's path about something of the owner's that is there.
        private func path(of route: Route) async throws -> String {
            var path = route.path
            if path.contains("/api-keys/{id}") || path.contains("/jobs/{id}") {
                // What was asked before may have ended the owner's sessions.
                api.sessions.withLock { $0[owner.id] = nil }
                let key = try await api.createKey(as: owner)
                let keyId = try #require(key["id"]?.stringValue)
                let jobId = try #require(key["job", "id"]?.stringValue)
                // The events of a job that has ended come to an end.
                if path.hasSuffix("/events"), let id = Int64(jobId) { try await api.queue.cancel(id: id, by: "test") }
                path = path.replacing("/api-keys/{id}", with: "/api-keys/\(keyId)")
                    .replacing("/jobs/{id}", with: "/jobs/\(jobId)")
            }
            if path.contains("/subscriptions/{id}") {
                let model = UUID().text
                try await api.addModels(model)
                let subscription = try await api.subscribe(owner, to: model)[0]
                path = path.replacing("/subscriptions/{id}", with: "/subscriptions/\(subscription.id.text)")
            }
            if path.contains("/teams/{id}") {
                path = path.replacing("/teams/{id}", with: "/teams/\(try await team(of: owner).text)")
                    .replacing("{userId}", with: deactivated.id.text)
            }
            if path.contains("{sessionId}") {
                path = path.replacing("{sessionId}", with: try await session(of: owner).id.text)
            }
            if path.contains("/users/{id}") {
                let name = "target-\(UUID().text)"
                path = path.replacing("/users/{id}", with: "/users/\(try await api.addUser(name).id.text)")
            }
            return path.replacing("/models/{id}", with: "/models/gpt").replacing("/workers/{id}", with: "/workers/1")
                .replacing("{name}", with: "default").replacing("{keyId}", with: UUID().text).replacing(
                    "{id}", with: UUID().text)
        }

        /// A new team that the user is an admin of, and the deactivated one a member.
        private func team(of user: User) async throws -> UUID {
            let new = NewTeam(name: "Team \(UUID().text)", adminIds: [user.id])
            let actor = AuditActor(userId: nil, name: "test")
            return try await api.database.client.withTransaction { transaction in
                let teams = TeamAdministration(queue: api.queue)
                let id = try await teams.create(new, by: actor, in: transaction).team.id
                _ = try await teams.setMember(
                    deactivated.id, of: id, role: .member, onlyMembers: false, by: actor, in: transaction)
                return id
            }
        }

        private func session(of user: User) async throws -> Session {
            let new = NewSession(
                id: UUID(), userId: user.id, provider: "test", ipAddress: nil, userAgent: nil,
                lifetime: .seconds(3600), refreshHash: nil)
            return try await api.database.client.withTransaction {
                try await PostgresSessionStore().insert(new, in: $0)
            }
        }

        private func bearer(_ user: User) async throws -> String {
            try await api.tokens.issue(for: user, session: try await session(of: user))
        }

        private func credentials(_ caller: Caller, _ route: Route) async throws -> HTTPFields {
            let token: String
            switch caller {
            case .anonymous: return [:]
            case .user: token = try await bearer(user)
            case .owner: token = try await bearer(owner)
            case .otherUser: token = try await bearer(other)
            case .apiKey: token = ownersKey
            case .readonlyAdmin: token = try await bearer(readonlyAdmin)
            case .admin: token = try await bearer(admin)
            case .deactivated: token = try await bearer(deactivated)
            case .scoped:
                if case .permission(let permission) = route.policy {
                    token = try await serviceToken(permission.rawValue)
                } else {
                    token = try await serviceToken("*")
                }
            case .unscoped: token = try await serviceToken(Permission.adminBannersWrite.rawValue)
            case .expired:
                let past = await SessionTokens(
                    secret: APIHarness.jwtSecret, lifetime: 60, now: { Date(timeIntervalSinceNow: -120) })
                token = try await past.issue(for: admin, session: try await session(of: admin))
            case .revoked:
                let session = try await session(of: admin)
                token = try await api.tokens.issue(for: admin, session: session)
                _ = try await PostgresSessionStore().revoke(
                    session.id, of: admin.id, reason: "test", in: api.database.client)
            }
            return [.authorization: "Bearer \(token)"]
        }

        private func serviceToken(_ scope: String) async throws -> String {
            let secret = ServiceTokenSecret.mint()
            _ = try await PostgresServiceTokenStore().insert(
                name: "test", secret: secret, scopes: [scope], expiresAt: nil, createdBy: "test",
                in: api.database.client)
            return secret.secret.reveal()
        }
    }
}
