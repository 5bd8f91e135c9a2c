import Foundation
import HTTPTypes
import Hummingbird
import Shared

/// Tokens of programs: made, listed and revoked by administrators.
struct ServiceTokenRoutes: RouteGroup {
    let database: PostgresClient
    let changes: Changes
    private let store = PostgresServiceTokenStore()
    private let audit = PostgresAuditStore()

    private static let path = "/api/v1/admin/service-tokens"

    init(database: PostgresClient, changes: Changes) {
        self.database = database
        self.changes = changes
    }

    var routes: [Route] {
        [
            .permitted(.adminSystem, .get, Self.path, list),
            .permitted(.adminSystem, .post, Self.path, create),
            .permitted(.adminSystem, .delete, Self.path + "/{id}", revoke),
        ]
    }

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let page = query.page()
        try query.check()
        let found = try await store.list(page, in: database)
        return .json(
            PagedAnswer(items: found.items.map { ServiceTokenView(token: $0) }, page: page, total: found.total))
    }

    private func create(_ call: AuthenticatedCall) async throws -> Response {
        if case .serviceToken(id: _?) = call.principal.credential {
            // One that ends must not leave others behind that do not.
            throw APIError(.forbidden, .forbidden, "A service token cannot make others; sign in as a person.")
        }
        let body = try await call.call.body()
        var fields = body.fields
        let name = fields.requiredString("name", length: 1...100)
        let scopes = fields.requiredStrings("scopes", count: 1...100, length: 1...100)
        check(scopes, givenBy: call.principal, &fields)
        let expiresAt = fields.date("expiresAt")
        if let expiresAt, expiresAt <= Date() { fields.refuse("expiresAt", .range, "must be in the future") }
        try fields.check()
        let secret = ServiceTokenSecret.mint()
        var outcome = Changes.Outcome(status: .created)
        outcome.secretMember = "token"
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let token = try await store.insert(
                name: name, secret: secret, scopes: scopes, expiresAt: expiresAt, createdBy: call.actor.name,
                creatorId: call.principal.user?.id,
                in: transaction)
            let view = ServiceTokenView(token: token)
            try await audit.append(
                AuditEntry(
                    actor: call.actor, action: "SERVICE_TOKEN_CREATE", resourceType: "SERVICE_TOKEN",
                    resourceId: token.id.text,
                    newValues: [
                        "name": .string(name), "scopes": .array(scopes.map { .string($0) }),
                        "expiresAt": expiresAt.map { .string(ISO8601.string(from: $0)) } ?? .null,
                    ]),
                in: transaction)
            return Change(resource: view, job: nil, secret: secret.secret)
        }
    }

    /// Nobody gives more than they have.
    private func check(_ scopes: [String], givenBy principal: Principal, _ fields: inout Fields) {
        for (index, scope) in scopes.enumerated() {
            let given = Permission.named(by: [scope])
            if given.isEmpty {
                fields.refuse(
                    "scopes[\(index)]", .choice, "must be * or a permission that GET /api/rbac/permissions lists")
            } else if !given.isSubset(of: principal.permissions) {
                fields.refuse("scopes[\(index)]", .choice, "must be a permission that you have yourself")
            }
        }
    }

    private func revoke(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let token = try await database.withTransaction { transaction in
            guard let token = try await store.revoke(id, by: call.actor.name, in: transaction) else {
                throw APIError.notFound("service token", id: id.text)
            }
            try await audit.append(
                AuditEntry(
                    actor: call.actor, action: "SERVICE_TOKEN_REVOKE", resourceType: "SERVICE_TOKEN",
                    resourceId: id.text, oldValues: ["name": .string(token.name)]),
                in: transaction)
            return token
        }
        return .json(ChangeBody(resource: ServiceTokenView(token: token), job: nil))
    }
}

/// A service token without the token.
private struct ServiceTokenView: ResourceBody, JSONRepresentable {
    let token: ServiceToken

    func write(to json: inout JSONWriter) {
        json.object { writeMembers(to: &$0) }
    }

    func writeMembers(to json: inout JSONWriter) {
        json.member("id", token.id)
        json.member("name", token.name)
        json.member("tokenPrefix", token.prefix)
        json.member("scopes", token.scopes)
        json.member("createdBy", token.createdBy)
        json.member("createdAt", token.createdAt)
        json.member("expiresAt", token.expiresAt)
        json.member("lastUsedAt", token.lastUsedAt)
        json.member("revokedAt", token.revokedAt)
        json.member("revokedBy", token.revokedBy)
    }
}
