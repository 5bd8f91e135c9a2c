import Foundation
import HTTPTypes
import Shared
import Synchronization
import TestSupport
import Testing

@testable import API

@Suite("Rate limits over HTTP", .needsDatabase, .hangGuard)
struct RateLimitRouteTests {
    private static func options(_ change: (inout RateLimitSettings) -> Void) -> APIHarness.Options {
        var options = APIHarness.Options()
        // Through a socket, whose peer is believed: each attempt of a test is a client of its own.
        options.isLive = true
        options.settings.trustedProxies = ["127.0.0.1"].compactMap { IPNetwork($0) }
        change(&options.settings.rateLimits)
        return options
    }

    private static func run(
        _ change: (inout RateLimitSettings) -> Void, _ body: @escaping @Sendable (APIHarness) async throws -> Void
    ) async throws {
        let options = options(change)
        try await withTestDatabase { try await APIHarness.run(on: $0, options, body) }
    }

    /// What `body` gives when all of it falls into one minute of the database's clock; it gets an address of its own.
    private static func inOneMinute<Result>(
        _ api: APIHarness, _ body: (_ client: HTTPFields) async throws -> Result
    ) async throws -> Result {
        func minute() async throws -> Int {
            try await api.count("select floor(extract(epoch from clock_timestamp()) / 60)::bigint")
        }
        for attempt in 1...3 {
            let begin = try await minute()
            let result = try await body([.forwardedFor: "198.51.100.\(attempt)"])
            if try await minute() == begin { return result }
        }
        throw TooSlow()
    }

    private struct TooSlow: Error {}

    private static func get(
        _ api: APIHarness, _ path: String, _ count: Int, as user: User? = nil, headers: HTTPFields
    ) async throws -> [Answer] {
        var answers: [Answer] = []
        for _ in 0..<count { answers.append(try await api.send(.get, path, as: user, headers: headers)) }
        return answers
    }

    @Test("answers say where the caller stands; one too many is 429 with when to come back, and one audit row")
    func anonymous() async throws {
        try await Self.run {
            $0.anonymous = 3
        } _: { api in
            let (address, answers) = try await Self.inOneMinute(api) { client in
                (client[.forwardedFor] ?? "", try await Self.get(api, "/api/v1", 6, headers: client))
            }
            #expect(answers.map(\.status) == [200, 200, 200, 429, 429, 429])
            #expect(answers.allSatisfy { $0.headers[.rateLimitLimit] == "3" })
            #expect(answers.map { $0.headers[.rateLimitRemaining] } == ["2", "1", "0", "0", "0", "0"])
            let last = answers[5]
            let seconds = try #require(last.headers[.rateLimitReset].flatMap { Int($0) })
            #expect((1...60).contains(seconds) && last.headers[.retryAfter] == String(seconds))
            #expect(last.errorCode == "RATE_LIMITED" && last["error", "details", "limit"] == 3)
            #expect(last["error", "details", "timeWindow"] == "1 minute")
            #expect(last["error", "details", "suggestion"] != nil && last["error", "retry", "retryable"] == true)
            let milliseconds = try #require(last["error", "details", "retryAfterMs"]?.intValue)
            #expect((1...60_000).contains(milliseconds))
            #expect(answers[0].headers[.retryAfter] == nil)
            let rows = try await api.count(
                """
                select count(*) from audit_logs where action = 'RATE_LIMIT_EXCEEDED' and actor = 'anonymous'
                    and resource_id = \("g:\(address)") and ip_address = \(address) and not success
                    and metadata ->> 'class' = 'anonymous' and metadata ->> 'route' = 'GET /api/v1'
                """)
            #expect(rows == 1)
            let refused = "litemaas_rate_limit_requests_total{class=\"anonymous\",outcome=\"refused\"}"
            #expect(api.registry.render().contains(refused))
        }
    }

    @Test("health, metrics, configuration and description are never limited")
    func exempt() async throws {
        try await Self.run {
            $0.anonymous = 1
        } _: { api in
            let known = Set(allRoutes(api.dependencies).map(\.path))
            #expect(RouteLimit.exemptPaths.subtracting(known) == [])
            for path in RouteLimit.exemptPaths {
                let path = path.replacing("{name}", with: "docs.css")
                for answer in try await Self.get(api, path, 3, headers: [:]) {
                    #expect(answer.status < 400 && answer.headers[.rateLimitLimit] == nil, "\(path)")
                }
            }
        }
    }

    @Test("paths and methods that are not there count too")
    func unknownPaths() async throws {
        try await Self.run {
            $0.anonymous = 2
        } _: { api in
            let statuses = try await Self.inOneMinute(api) { client in
                [
                    try await api.send(.get, "/api/v1/nowhere", headers: client).status,
                    try await api.send(.put, "/api/v1", headers: client).status,
                    try await api.send(.get, "/api/v1/nowhere", headers: client).status,
                    try await api.send(.put, "/api/v1", headers: client).status,
                ]
            }
            #expect(statuses == [404, 405, 429, 429])
        }
    }

    @Test("who is signed in has a limit of their own; refused credentials count on the address, and end in 429")
    func callers() async throws {
        try await Self.run {
            $0.anonymous = 2
            $0.authenticated = 3
            $0.admin = 4
        } _: { api in
            let names = Mutex(0)
            let answers = try await Self.inOneMinute(api) { client in
                let number = names.withLock { names in
                    names += 1
                    return names
                }
                let user = try await api.addUser("user\(number)")
                let admin = try await api.addAdmin("admin\(number)")
                var forged = client
                forged[.authorization] = "Bearer nonsense"
                return (
                    forged: try await Self.get(api, "/api/v1/auth/me", 3, headers: forged),
                    anonymous: try await Self.get(api, "/api/v1/models", 1, headers: client),
                    user: try await Self.get(api, "/api/v1/auth/me", 4, as: user, headers: client),
                    admin: try await Self.get(api, "/api/v1/models", 5, as: admin, headers: client)
                )
            }
            #expect(answers.forged.map(\.status) == [401, 401, 429])
            #expect(answers.anonymous.map(\.status) == [429])
            #expect(answers.user.map(\.status) == [200, 200, 200, 429])
            #expect(answers.admin.map(\.status) == [200, 200, 200, 200, 429])
            #expect(answers.admin[0].headers[.rateLimitLimit] == "4")
        }
    }

    @Test("signing in has a limit by address, apart from everything else")
    func login() async throws {
        try await Self.run {
            $0.login = 2
            $0.anonymous = 1
        } _: { api in
            let (logins, others, elsewhere) = try await Self.inOneMinute(api) { client in
                var logins: [Int] = []
                for _ in 0..<3 { logins.append(try await api.send(.post, "/api/auth/login", headers: client).status) }
                let others = try await Self.get(api, "/api/v1", 2, headers: client).map(\.status)
                let elsewhere = try await api.send(
                    .post, "/api/auth/login", headers: [.forwardedFor: "203.0.113.\(Int.random(in: 1...254))"])
                return (logins, others, elsewhere.status)
            }
            #expect(logins == [200, 200, 429] && others == [200, 429] && elsewhere == 200)
        }
    }

    @Test("a class that is switched off limits nobody and says nothing; pages of other origins may read the headers")
    func off() async throws {
        try await Self.run {
            $0.authenticated = 5
        } _: { api in
            let answer = try await api.send(.get, "/api/v1", headers: [.origin: "http://localhost:3000"])
            #expect(answer.status == 200 && answer.headers[.rateLimitLimit] == nil)
            let exposed = try #require(answer.headers[.accessControlExposeHeaders]).split(separator: ", ")
            #expect(exposed.contains("X-RateLimit-Limit") && exposed.contains("X-RateLimit-Remaining"))
            #expect(exposed.contains("X-RateLimit-Reset") && exposed.contains("Retry-After"))
        }
    }

    @Test("two processes on one database let 100 anonymous requests through, within a tenth")
    func replicas() async throws {
        let options = Self.options { $0.anonymous = 100 }
        try await withTestDatabase { database in
            try await APIHarness.run(on: database, options) { first in
                try await APIHarness.run(on: database, options) { second in
                    let statuses = try await Self.inOneMinute(first) { client in
                        var statuses: [Int] = []
                        for _ in 0..<90 {
                            async let one = first.send(.get, "/api/v1", headers: client)
                            async let other = second.send(.get, "/api/v1", headers: client)
                            statuses += [try await one.status, try await other.status]
                        }
                        return statuses
                    }
                    #expect((90...100).contains(statuses.count { $0 == 200 }))
                    #expect(Set(statuses) == [200, 429])
                }
            }
        }
    }

    @Test("without the database the limit is kept by the process, and nobody gets a 500 for it")
    func databaseAway() async throws {
        try await Self.run {
            $0.anonymous = 10
        } _: { api in
            await api.database.client.close()
            let answers = try await Self.get(api, "/api/v1", 12, headers: [:])
            #expect(answers.map(\.status) == Array(repeating: 200, count: 10) + [429, 429])
        }
    }

    @Test("the address behind a proxy is the one in the audit trail; strangers are not believed")
    func addresses() async throws {
        try await Self.run {
            $0.anonymous = 1
        } _: { api in
            _ = try await Self.inOneMinute(api) { _ in
                try await Self.get(api, "/api/v1", 2, headers: [.forwardedFor: "10.9.9.9, 2001:db8:1:2::3"])
            }
            let rows = try await api.count(
                """
                select count(*) from audit_logs where ip_address = '2001:db8:1:2::3'
                    and resource_id = 'g:2001:db8:1:2::/64'
                """)
            #expect(rows >= 1)
        }
    }
}
