import Foundation
import HTTPTypes
import HummingbirdTesting
import NIOCore
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

/// An answer of the API, read.
struct Answer: Sendable {
    let status: Int
    let headers: HTTPFields
    let text: String
    let json: JSONValue

    subscript(_ path: String...) -> JSONValue? {
        path.reduce(json as JSONValue?) { value, name in
            value.flatMap { value in Int(name).flatMap { value[$0] } ?? value[name] }
        }
    }

    var errorCode: String? { self["error", "code"]?.stringValue }

    /// The names of the fields that were refused.
    var refusedFields: [String] {
        self["error", "details", "validation"]?.arrayValue?.compactMap { $0["field"]?.stringValue } ?? []
    }
}

extension APIHarness {
    /// The headers of somebody who shows a credential.
    func bearer(_ credential: String) -> HTTPFields { [.authorization: "Bearer \(credential)"] }

    /// Sends a request; `user` signs it with a session.
    func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: JSONValue? = nil, as user: User? = nil,
        headers: HTTPFields = [:]
    ) async throws -> Answer {
        try await send(
            method, path, bytes: body.map { Array($0.encodedString().utf8) }, as: user, headers: headers)
    }

    func send(
        _ method: HTTPRequest.Method, _ path: String, bytes: [UInt8]?, as user: User? = nil, headers: HTTPFields = [:]
    ) async throws -> Answer {
        var headers = headers
        if let user { headers[.authorization] = "Bearer \(try await token(of: user))" }
        if bytes != nil, headers[.contentType] == nil { headers[.contentType] = "application/json" }
        let response = try await client.executeRequest(
            uri: path, method: method, headers: headers, body: bytes.map { ByteBuffer(bytes: $0) })
        let content = Array(response.body.readableBytesView)
        let isJSON = response.headers[.contentType]?.hasPrefix("application/json") ?? false
        let answer = Answer(
            status: response.status.code, headers: response.headers, text: String(decoding: content, as: UTF8.self),
            json: isJSON && !content.isEmpty ? try JSONParser.parse(content) : .null)
        try AnswerRecorder.shared?.record(method, path, answer, among: allRoutes(dependencies))
        return answer
    }

    /// A session token of the user; all of a test's requests by one user are one session.
    func token(of user: User) async throws -> String {
        try await tokens.issue(for: user, session: try await session(of: user))
    }

    func session(of user: User) async throws -> Session {
        if let known = sessions.withLock({ $0[user.id] }) { return known }
        let new = NewSession(
            id: UUID(), userId: user.id, provider: "test", ipAddress: nil, userAgent: nil, lifetime: .seconds(3600),
            refreshHash: nil)
        let session = try await database.client.withTransaction { try await PostgresSessionStore().insert(new, in: $0) }
        return sessions.withLock { sessions in
            sessions[user.id] = sessions[user.id] ?? session
            return sessions[user.id] ?? session
        }
    }

    // MARK: What there is

    @discardableResult
    func addUser(
        _ name: String = "alice", roles: [Role] = [.user], isActive: Bool = true
    ) async throws -> User {
        let new = NewUser(
            id: UUID(), username: name, email: "\(name)@example.com", fullName: name.capitalized,
            oauthProvider: "test", oauthId: name, roles: roles, isActive: isActive)
        return try await database.client.withTransaction { transaction in
            let user = try await PostgresUserStore().insert(new, in: transaction)
            try await PostgresTeamStore().addMember(userId: user.id, teamId: Team.defaultId, in: transaction)
            return user
        }
    }

    func addAdmin(_ name: String = "root") async throws -> User {
        try await addUser(name, roles: [.admin, .user])
    }

    /// Models that keys can be asked for.
    func addModels(_ ids: String...) async throws {
        try await database.client.withTransaction { transaction in
            try await PostgresModelStore().upsert(
                ids.map { id in
                    ModelDescription(
                        id: id, provider: "openai", apiBase: "http://backend.internal", contextLength: 8192,
                        inputCostPerToken: Decimal(string: "0.000001"), outputCostPerToken: Decimal(string: "0.000002"),
                        features: ["chat"])
                }, in: transaction)
        }
    }

    /// Subscribes a user to models, as they would themselves.
    @discardableResult
    func subscribe(_ user: User, to models: String...) async throws -> [Subscription] {
        let actor = AuditActor(userId: user.id, name: user.username)
        let caller = SubscriptionCaller(actor: actor, isAdministrator: false)
        return try await database.client.withTransaction { transaction in
            var made: [Subscription] = []
            for model in models {
                let request = SubscriptionRequest(userId: user.id, modelId: model)
                made.append(
                    try await Subscriptions(queue: queue).request(request, by: caller, in: transaction).subscription)
            }
            return made
        }
    }

    /// Makes models need an approval, or not.
    func restrict(_ ids: String..., isRestricted: Bool = true) async throws {
        try await database.client.query(
            "update models set restricted_access = \(isRestricted) where id = any (\(ids))")
    }

    /// A key asked for over the API, with the subscription that it needs. Its answer is a 202.
    func createKey(
        _ name: String = "My key", as user: User, headers: HTTPFields = [:]
    ) async throws -> Answer {
        try await database.client.subscribe(user.id, to: ["gpt"])
        return try await send(
            .post, "/api/v1/api-keys", ["modelIds": ["gpt"], "name": .string(name)], as: user, headers: headers)
    }

    func count(_ query: PostgresQuery) async throws -> Int {
        try await database.client.query(query).one(Int.self)
    }

    /// Waits until the job has the state; fails the test when it does not get there.
    func wait(
        for jobId: String?, _ state: String, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let id = try #require(jobId.flatMap { Int64($0) }, sourceLocation: sourceLocation)
        var seen = "none"
        let isThere = try await eventually {
            seen = try await queue.job(id: id)?.state.rawValue ?? "gone"
            return seen == state
        }
        #expect(isThere, "job \(id) is \(seen), not \(state)", sourceLocation: sourceLocation)
    }
}

/// Polls a condition until it holds; false when it does not within the limit.
func eventually(within limit: Duration = .seconds(20), _ condition: () async throws -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + limit
    while deadline > .now {
        if try await condition() { return true }
        await WakeSignal().wait(atMost: .milliseconds(10))
    }
    return false
}
