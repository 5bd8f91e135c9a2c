import HTTPTypes
import Hummingbird
import Shared

/// What there is to be allowed, and what the caller is allowed.
struct PermissionRoutes: RouteGroup {
    var routes: [Route] {
        [
            .permitted(.adminUsers, .get, "/api/rbac/roles", roles),
            .permitted(.adminUsers, .get, "/api/rbac/permissions", permissions),
            .signedIn(.get, "/api/rbac/permissions/me", mine),
            .signedIn(.post, "/api/rbac/permissions/check", check),
            .signedIn(.post, "/api/rbac/permissions/check-bulk", checkBulk),
        ]
    }

    private func roles(_ call: AuthenticatedCall) async throws -> Response {
        .json(
            Members { json in
                json.member("roles", Role.allCases.map(RoleView.init))
            })
    }

    private func permissions(_ call: AuthenticatedCall) async throws -> Response {
        .json(
            Members { json in
                json.member("permissions", Permission.allCases.map(PermissionView.init))
            })
    }

    private func mine(_ call: AuthenticatedCall) async throws -> Response {
        .json(
            Members { json in
                json.member("roles", call.principal.user?.roles.map(\.rawValue) ?? [])
                json.member("permissions", call.principal.permissions.map(\.rawValue).sorted())
            })
    }

    private func check(_ call: AuthenticatedCall) async throws -> Response {
        var fields = try await call.call.body().fields
        let permission = fields.requiredString("permission", length: 1...100)
        let resourceId = fields.string("resourceId", length: 1...255)
        _ = fields.object("context")
        try fields.check()
        return .json(
            Members { json in
                json.member("hasPermission", has(permission, call.principal))
                json.member("permission", permission)
                json.member("resourceId", resourceId)
            })
    }

    private func checkBulk(_ call: AuthenticatedCall) async throws -> Response {
        var fields = try await call.call.body().fields
        let names = fields.requiredStrings("permissions", count: 1...100, length: 1...100)
        let requiresAll = fields.bool("requireAll") ?? false
        try fields.check()
        let results = Dictionary(names.map { ($0, has($0, call.principal)) }, uniquingKeysWith: { first, _ in first })
        return .json(
            Members { json in
                json.member(
                    "hasAccess", requiresAll ? results.values.allSatisfy(\.self) : results.values.contains(true))
                json.member("results") { json in
                    for (name, isAllowed) in results.sorted(by: { $0.key < $1.key }) { json.member(name, isAllowed) }
                }
            })
    }

    /// A permission that nobody has heard of is not held.
    private func has(_ name: String, _ principal: Principal) -> Bool {
        Permission(rawValue: name).map(principal.may) ?? false
    }
}

private struct RoleView: JSONRepresentable {
    let role: Role

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("id", role.rawValue)
            json.member("name", role.rawValue)
            json.member("permissions", role.permissions.map(\.rawValue).sorted())
        }
    }
}

private struct PermissionView: JSONRepresentable {
    let permission: Permission

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("id", permission.rawValue)
            json.member("name", permission.rawValue)
            let parts = permission.rawValue.split(separator: ":", maxSplits: 1).map(String.init)
            json.member("resource", parts[0])
            json.member("action", parts.count > 1 ? parts[1] : "")
        }
    }
}
