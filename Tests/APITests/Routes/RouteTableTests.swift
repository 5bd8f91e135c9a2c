import Foundation
import HTTPTypes
import Hummingbird
import Shared
import TestSupport
import Testing

@testable import API

@Suite("Route table", .needsDatabase, .hangGuard)
struct RouteTableTests {
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
        #expect(roles(.teamsWrite) == [.admin])
        #expect(roles(.teamsRead) == Role.allCases)
        #expect(roles(.teamsMembers) == [.admin, .user])
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

@Suite("OpenAPI document", .needsDatabase, .hangGuard)
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

    @Test("every operation belongs to a group that is declared, as the page shows groups")
    func groups() throws {
        let document = try OpenAPIDocument.load().document
        let known = (document["tags"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
        for (path, item) in document["paths"]?.objectValue ?? [:] {
            for (method, operation) in item.objectValue ?? [:] where operation["operationId"] != nil {
                let group = operation["tags"]?[0]?.stringValue
                #expect(group.map(known.contains) == true, "\(method) \(path)")
            }
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
