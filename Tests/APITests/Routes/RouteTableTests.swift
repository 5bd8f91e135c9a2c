import Foundation
import HTTPTypes
import Hummingbird
import Shared
import TestSupport
import Testing

@testable import API

@Suite("Route table", .needsDatabase, .timeLimit(.minutes(10)))
struct RouteTableTests {
    /// Who may use what. A route that is not here, or is here and does not exist, fails the test.
    private static let policies: [String: AccessPolicy] = [
        "GET /api/v1": .anyone,
        "GET /api/v1/config": .anyone,
        "GET /api/v1/openapi.json": .anyone,
        "GET /docs": .anyone,
        "GET /docs/openapi.json": .anyone,
        "GET /docs/assets/{name}": .anyone,
        "GET /api/docs": .anyone,
        "GET /metrics": .anyone,
        "GET /api/v1/health": .anyone,
        "GET /api/v1/health/live": .anyone,
        "GET /api/v1/health/ready": .anyone,
        "GET /api/auth/mock-users": .anyone,
        "GET /api/auth/mock-login": .anyone,
        "POST /api/auth/login": .anyone,
        "GET /api/auth/callback": .anyone,
        "POST /api/auth/dev-token": .anyone,
        "POST /api/auth/validate": .anyone,
        "POST /api/auth/refresh": .anyone,
        "POST /api/auth/logout": .session,
        "GET /api/auth/sessions": .session,
        "DELETE /api/auth/sessions": .session,
        "DELETE /api/auth/sessions/{sessionId}": .session,
        "DELETE /api/v1/admin/users/{id}/sessions": .permission(.usersWrite),
        "GET /api/v1/admin/service-tokens": .permission(.adminSystem),
        "POST /api/v1/admin/service-tokens": .permission(.adminSystem),
        "DELETE /api/v1/admin/service-tokens/{id}": .permission(.adminSystem),
        "GET /api/rbac/roles": .permission(.adminUsers),
        "GET /api/rbac/permissions": .permission(.adminUsers),
        "GET /api/rbac/permissions/me": .signedIn,
        "POST /api/rbac/permissions/check": .signedIn,
        "POST /api/rbac/permissions/check-bulk": .signedIn,
        "GET /api/v1/auth/me": .signedIn,
        "GET /api/v1/auth/profile": .signedIn,
        "GET /api/v1/api-keys": .permission(.apiKeysRead),
        "POST /api/v1/api-keys": .permission(.apiKeysWrite),
        "PATCH /api/v1/api-keys/{id}": .permission(.apiKeysWrite),
        "GET /api/v1/api-keys/stats": .permission(.apiKeysRead),
        "GET /api/v1/api-keys/{id}/usage": .permission(.apiKeysRead),
        "GET /api/v1/api-keys/{id}/models": .permission(.apiKeysRead),
        "POST /api/v1/api-keys/validate": .permission(.adminAPIKeys),
        "POST /api/v1/api-keys/{id}/rotate": .permission(.apiKeysWrite),
        "POST /api/v1/api-keys/{id}/reset-spend": .permission(.apiKeysWrite),
        "POST /api/v1/api-keys/{id}/reveal": .session,
        "POST /api/v1/api-keys/{id}/retrieve-key": .session,
        "GET /api/v1/api-keys/admin/all": .permission(.adminAPIKeys),
        "POST /api/v1/api-keys/admin/cleanup-expired": .permission(.adminAPIKeys),
        "GET /api/v1/admin/api-keys": .permission(.adminUsage),
        "GET /api/v1/admin/users/{id}/api-keys": .permission(.usersRead),
        "POST /api/v1/admin/users/{id}/api-keys": .permission(.usersWrite),
        "PATCH /api/v1/admin/users/{id}/api-keys/{keyId}": .permission(.usersWrite),
        "DELETE /api/v1/admin/users/{id}/api-keys/{keyId}": .permission(.usersWrite),
        "POST /api/v1/admin/users/{id}/api-keys/{keyId}/reset-spend": .permission(.usersWrite),
        "GET /api/v1/api-keys/{id}": .permission(.apiKeysRead),
        "DELETE /api/v1/api-keys/{id}": .permission(.apiKeysDelete),
        "GET /api/v1/models": .anyoneOrCaller,
        "GET /api/v1/models/{id}": .anyoneOrCaller,
        "GET /api/v1/models/providers": .anyone,
        "GET /api/v1/models/capabilities": .anyone,
        "GET /api/v1/models/health": .anyone,
        "GET /api/v1/models/sync/stats": .permission(.modelsRead),
        "GET /api/v1/models/validate": .permission(.modelsRead),
        "POST /api/v1/models/refresh": .permission(.modelsWrite),
        "POST /api/v1/admin/models": .permission(.adminModels),
        "PUT /api/v1/admin/models/{id}": .permission(.adminModels),
        "DELETE /api/v1/admin/models/{id}": .permission(.adminModels),
        "POST /api/v1/admin/models/test": .permission(.adminModels),
        "GET /api/v1/admin/models/{id}/retirement": .permission(.adminModels),
        "POST /api/v1/admin/models/{id}/retirement/undo": .permission(.adminModels),
        "POST /api/v1/models/sync": .permission(.modelsWrite),
        "POST /api/v1/admin/sync/models": .permission(.modelsWrite),
        "GET /api/v1/subscriptions": .permission(.subscriptionsRead),
        "POST /api/v1/subscriptions": .permission(.subscriptionsWrite),
        "GET /api/v1/subscriptions/stats": .permission(.subscriptionsRead),
        "GET /api/v1/subscriptions/{id}": .permission(.subscriptionsRead),
        "PATCH /api/v1/subscriptions/{id}": .permission(.subscriptionsWrite),
        "PUT /api/v1/subscriptions/{id}/quotas": .permission(.subscriptionsWrite),
        "POST /api/v1/subscriptions/{id}/cancel": .permission(.subscriptionsWrite),
        "POST /api/v1/subscriptions/{id}/request-review": .permission(.subscriptionsWrite),
        "POST /api/v1/subscriptions/{id}/suspend": .permission(.subscriptionsWrite),
        "POST /api/v1/subscriptions/{id}/resume": .permission(.subscriptionsWrite),
        "GET /api/v1/subscriptions/{id}/quota": .permission(.subscriptionsRead),
        "GET /api/v1/subscriptions/{id}/usage": .permission(.subscriptionsRead),
        "GET /api/v1/subscriptions/{id}/pricing": .permission(.subscriptionsRead),
        "GET /api/v1/subscriptions/admin/all": .permission(.adminSubscriptionsRead),
        "POST /api/v1/subscriptions/admin/reset-quotas": .permission(.adminSubscriptionsWrite),
        "GET /api/v1/admin/subscriptions": .permission(.adminSubscriptionsRead),
        "GET /api/v1/admin/subscriptions/stats": .permission(.adminSubscriptionsRead),
        "POST /api/v1/admin/subscriptions/approve": .permission(.adminSubscriptionsWrite),
        "POST /api/v1/admin/subscriptions/deny": .permission(.adminSubscriptionsWrite),
        "POST /api/v1/admin/subscriptions/{id}/revert": .permission(.adminSubscriptionsWrite),
        "DELETE /api/v1/admin/subscriptions/{id}": .permission(.adminSubscriptionsDelete),
        "GET /api/v1/admin/users/{id}/subscriptions": .permission(.usersRead),
        "POST /api/v1/admin/users/{id}/subscriptions": .permission(.usersWrite),
        "GET /api/v1/users": .permission(.usersRead),
        "PATCH /api/v1/users/{id}": .permission(.usersWrite),
        "GET /api/v1/users/me": .signedIn,
        "PATCH /api/v1/users/me": .session,
        "GET /api/v1/users/me/activity": .session,
        "GET /api/v1/users/me/stats": .signedIn,
        "GET /api/v1/admin/users": .permission(.usersRead),
        "POST /api/v1/admin/users": .permission(.usersWrite),
        "GET /api/v1/admin/auth/info": .permission(.adminUsage),
        "GET /api/v1/admin/users/{id}": .permission(.usersRead),
        "PUT /api/v1/admin/users/{id}": .permission(.usersWrite),
        "DELETE /api/v1/admin/users/{id}": .permission(.usersDelete),
        "POST /api/v1/admin/users/{id}/reactivate": .permission(.usersWrite),
        "PATCH /api/v1/admin/users/{id}/budget-limits": .permission(.usersWrite),
        "GET /api/v1/admin/audit": .permission(.adminAudit),
        "GET /api/v1/admin/audit/actions": .permission(.adminAudit),
        "GET /api/v1/admin/audit/categories": .permission(.adminAudit),
        "GET /api/v1/admin/audit/export": .permission(.adminAudit),
        "GET /api/v1/admin/system/stats": .permission(.adminUsage),
        "GET /api/v1/usage/summary": .permission(.usageRead),
        "POST /api/v1/admin/usage/refresh-today": .permission(.usageWrite),
        "GET /api/v1/jobs": .signedIn,
        "GET /api/v1/jobs/{id}": .signedIn,
        "GET /api/v1/jobs/{id}/events": .signedIn,
        "POST /api/v1/jobs/{id}/retry": .permission(.jobsWrite),
        "POST /api/v1/jobs/{id}/cancel": .permission(.jobsWrite),
        "GET /api/v1/admin/jobs": .permission(.jobsReadAll),
        "GET /api/v1/admin/jobs/stats": .permission(.jobsReadAll),
        "POST /api/v1/admin/jobs/bulk": .permission(.jobsWrite),
        "GET /api/v1/admin/jobs/{id}": .permission(.jobsReadAll),
        "POST /api/v1/admin/jobs/{id}/retry": .permission(.jobsWrite),
        "POST /api/v1/admin/jobs/{id}/cancel": .permission(.jobsWrite),
        "POST /api/v1/admin/jobs/{id}/discard": .permission(.jobsWrite),
        "POST /api/v1/admin/jobs/{id}/reschedule": .permission(.jobsWrite),
        "GET /api/v1/admin/queues": .permission(.jobsReadAll),
        "GET /api/v1/admin/queues/{name}": .permission(.jobsReadAll),
        "POST /api/v1/admin/queues/{name}/pause": .permission(.jobsWrite),
        "POST /api/v1/admin/queues/{name}/resume": .permission(.jobsWrite),
        "GET /api/v1/admin/jobs/{id}/explain": .permission(.jobsReadAll),
        "GET /api/v1/admin/limits": .permission(.jobsReadAll),
        "PUT /api/v1/admin/queues/{name}/limits": .permission(.jobsWrite),
        "PUT /api/v1/admin/kinds/{name}/limits": .permission(.jobsWrite),
        "GET /api/v1/admin/schedules": .permission(.jobsReadAll),
        "GET /api/v1/admin/schedules/{name}": .permission(.jobsReadAll),
        "PATCH /api/v1/admin/schedules/{name}": .permission(.jobsWrite),
        "POST /api/v1/admin/schedules/{name}/enable": .permission(.jobsWrite),
        "POST /api/v1/admin/schedules/{name}/disable": .permission(.jobsWrite),
        "POST /api/v1/admin/schedules/{name}/trigger": .permission(.jobsWrite),
        "GET /api/v1/admin/breakers": .permission(.jobsReadAll),
        "GET /api/v1/admin/breakers/{name}": .permission(.jobsReadAll),
        "POST /api/v1/admin/breakers/{name}/force": .permission(.jobsWrite),
        "POST /api/v1/admin/breakers/{name}/reset": .permission(.jobsWrite),
        "GET /api/v1/admin/workers": .permission(.jobsReadAll),
        "GET /api/v1/admin/workers/{id}": .permission(.jobsReadAll),
        "POST /api/v1/admin/workers/{id}/drain": .permission(.jobsWrite),
        "POST /api/v1/admin/workers/{id}/resume": .permission(.jobsWrite),
    ]

    private static func name(_ route: Route) -> String { "\(route.method.rawValue) \(route.path)" }

    /// The path with something in place of its parameters.
    private static func sample(_ path: String) -> String {
        path.replacing("/jobs/{id}", with: "/jobs/1").replacing("/models/{id}", with: "/models/gpt")
            .replacing("/workers/{id}", with: "/workers/1").replacing("{name}", with: "default")
            .replacing("{id}", with: UUID().uuidString)
            .replacing("{sessionId}", with: UUID().uuidString)
    }

    @Test("every route has the policy that is agreed on")
    func policies() async throws {
        try await APIHarness.run { api in
            let routes = allRoutes(api.dependencies)
            #expect(
                Dictionary(routes.map { (Self.name($0), $0.policy) }, uniquingKeysWith: { first, _ in first })
                    == Self.policies)
            #expect(Set(routes.map(Self.name)).count == routes.count)
        }
    }

    @Test("what needs a session is 401 without, what needs a permission 403 without")
    func enforced() async throws {
        try await APIHarness.run { api in
            let nobody = try await api.addUser("nobody", roles: [])
            let admin = try await api.addAdmin()
            for route in allRoutes(api.dependencies) {
                let path = Self.sample(route.path)
                let anonymous = try await api.send(route.method, path)
                let powerless = try await api.send(route.method, path, as: nobody)
                switch route.policy {
                case .anyone, .anyoneOrCaller:
                    #expect(anonymous.errorCode != "UNAUTHORIZED", "\(Self.name(route))")
                case .signedIn:
                    #expect(anonymous.status == 401, "\(Self.name(route))")
                    #expect(powerless.status != 401 && powerless.status != 403, "\(Self.name(route))")
                case .session:
                    #expect(anonymous.status == 401, "\(Self.name(route))")
                    #expect(powerless.status != 401 && powerless.status != 403, "\(Self.name(route))")
                    // The request may have ended the session.
                    api.sessions.withLock { $0[nobody.id] = nil }
                case .permission:
                    #expect(anonymous.status == 401, "\(Self.name(route))")
                    #expect(powerless.status == 403, "\(Self.name(route))")
                    let allowed = try await api.send(route.method, path, as: admin)
                    #expect(allowed.status != 401 && allowed.status != 403, "\(Self.name(route))")
                }
            }
        }
    }

    @Test("each role has the permissions of the target matrix")
    func roles() {
        func roles(_ permission: Permission) -> [Role] {
            Role.allCases.filter { $0.permissions.contains(permission) }
        }
        #expect(roles(.modelsWrite) == [.admin])
        #expect(roles(.usersWrite) == [.admin])
        #expect(roles(.usageWrite) == [.admin])
        #expect(roles(.jobsWrite) == [.admin])
        #expect(roles(.jobsReadAll) == [.admin, .adminReadonly])
        #expect(roles(.usersRead) == [.admin, .adminReadonly])
        #expect(roles(.adminUsage) == [.admin, .adminReadonly])
        #expect(roles(.apiKeysWrite) == [.admin, .user])
        #expect(roles(.apiKeysDelete) == [.admin, .user])
        #expect(roles(.apiKeysRead) == Role.allCases)
        #expect(roles(.usageRead) == Role.allCases)
    }

    @Test("another method on a known path is 405 with the ones that are known; HEAD is GET without a body")
    func methods() async throws {
        try await APIHarness.run { api in
            let answer = try await api.send(.put, "/api/v1/api-keys", as: try await api.addUser())
            #expect(answer.status == 405 && answer.errorCode == "METHOD_NOT_ALLOWED")
            #expect(answer.headers[.allow] == "GET, HEAD, POST")
            let head = try await api.send(.head, "/api/v1/config")
            #expect(head.status == 200 && head.text.isEmpty)
        }
    }
}

@Suite("OpenAPI document", .needsDatabase, .timeLimit(.minutes(10)))
struct OpenAPITests {
    private static let methods: Set<String> = ["get", "put", "post", "delete", "patch", "options", "head", "trace"]

    private static func operations(_ document: JSONValue) -> [(name: String, operation: JSONValue)] {
        (document["paths"]?.objectValue ?? [:]).flatMap { path, item in
            (item.objectValue ?? [:]).filter { methods.contains($0.key) }.map {
                ("\($0.key.uppercased()) \(path)", $0.value)
            }
        }
    }

    @Test("every registered route is documented, and every documented operation registered")
    func bothWays() async throws {
        try await APIHarness.run { api in
            let router = buildRouter(api.dependencies)
            let answer = try await api.send(.get, "/api/v1/openapi.json")
            #expect(answer.status == 200 && answer["openapi"] == "3.1.0")
            let documented = Set(Self.operations(answer.json).map(\.name))
            let declared = Set(allRoutes(api.dependencies).map { "\($0.method.rawValue) \($0.path)" })
            #expect(documented.subtracting(declared) == [])
            #expect(declared.subtracting(documented) == [])
            // What the router itself answers: the declared routes, and 405 for the other methods of their paths.
            let registered = Set(router.routes.map { String(describing: $0.path) })
            let paths = Set(allRoutes(api.dependencies).map(\.path))
            #expect(Set(registered.map { $0.hasPrefix("/") ? $0 : "/" + $0 }) == paths)
        }
    }

    @Test("what is open and what is not agrees with the policies")
    func security() async throws {
        try await APIHarness.run { api in
            let document = api.dependencies.docs.openAPI.document
            let operations = Dictionary(uniqueKeysWithValues: Self.operations(document))
            for route in allRoutes(api.dependencies) {
                let operation = try #require(operations["\(route.method.rawValue) \(route.path)"])
                let security = operation["security"]?.arrayValue
                switch route.policy {
                case .anyone: #expect(security == [], "\(route.path)")
                case .anyoneOrCaller: #expect(security?.count == 2, "\(route.path)")
                case .signedIn, .session, .permission: #expect(security == nil, "\(route.path)")
                }
            }
        }
    }

    @Test("every operation has an id of its own, a summary, a tag, and its path parameters")
    func complete() throws {
        let document = try OpenAPIDocument.load().document
        let operations = Self.operations(document)
        #expect(Set(operations.compactMap { $0.operation["operationId"]?.stringValue }).count == operations.count)
        for (name, operation) in operations {
            #expect(operation["summary"]?.stringValue?.hasSuffix(".") == true, "\(name)")
            #expect(operation["tags"]?.arrayValue?.count == 1, "\(name)")
            #expect(operation["responses", "default"] != nil, "\(name)")
        }
    }

    @Test("every reference leads somewhere")
    func references() throws {
        let document = try OpenAPIDocument.load().document
        func check(_ value: JSONValue) {
            if let target = value["$ref"]?.stringValue {
                let found = target.split(separator: "/").dropFirst().reduce(document as JSONValue?) { $0?[String($1)] }
                #expect(found != nil, "\(target)")
            }
            for child in value.objectValue?.values.map({ $0 }) ?? value.arrayValue ?? [] { check(child) }
        }
        check(document)
    }

    @Test("scalars keep the kind that they have in YAML")
    func yaml() throws {
        #expect(throws: (any Error).self) { try OpenAPIDocument(yaml: "a: [") }
        let document = try OpenAPIDocument(yaml: "a: 1\nb: '1'\nc: true\nd: null\ne: 1.5\nf: text")
        #expect(document.document == ["a": 1, "b": "1", "c": true, "d": nil, "e": 1.5, "f": "text"])
    }
}

extension JSONValue {
    fileprivate subscript(path: String...) -> JSONValue? {
        path.reduce(self as JSONValue?) { $0?[$1] }
    }
}
