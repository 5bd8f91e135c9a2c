import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Models", .needsDatabase, .hangGuard)
struct ModelRouteTests {
    @Test("anybody sees the catalogue, with pages and filters")
    func list() async throws {
        try await APIHarness.run { api in
            try await api.addModels("alpha", "beta", "org/gamma")
            let all = try await api.send(.get, "/api/v1/models?limit=1000")
            #expect(all.status == 200 && all["pagination", "total"] == 3)
            let first = try #require(all["data", "0"])
            #expect(first["id"] == "alpha" && first["provider"] == "openai" && first["isActive"] == true)
            #expect(first["pricing"] == ["input": 0.000001, "output": 0.000002, "unit": "per_token"])
            #expect(first["capabilities"] == ["chat"] && first["supportsChat"] == true)
            #expect(first["apiBase"] == nil && first["backendModelName"] == nil && first["tpm"] == nil)
            #expect(try await api.send(.get, "/api/v1/models?search=GAM")["pagination", "total"] == 1)
            #expect(try await api.send(.get, "/api/v1/models?provider=nobody")["pagination", "total"] == 0)
            #expect(
                try await api.send(.get, "/api/v1/models?capability=chat&limit=2&page=2")["data"]?.arrayValue?.count
                    == 1)
            #expect(try await api.send(.get, "/api/v1/models?limit=1001").refusedFields == ["limit"])
        }
    }

    @Test("an id may hold slashes, sent as %2F")
    func slashes() async throws {
        try await APIHarness.run { api in
            try await api.addModels("org/gamma v1%")
            let model = try await api.send(.get, "/api/v1/models/org%2Fgamma%20v1%25")
            #expect(model.status == 200 && model["id"] == "org/gamma v1%" && model["metadata", "deployments"] == 0)
            #expect(try await api.send(.get, "/api/v1/models/org/gamma").status == 404)
            let missing = try await api.send(.get, "/api/v1/models/org%2Fdelta")
            #expect(missing.status == 404 && missing["error", "details", "id"] == "org/delta")
        }
    }

    @Test("a sync is asked for under both names, in both shapes, and shares one job")
    func sync() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let first = try await api.send(.post, "/api/v1/models/sync", ["forceUpdate": true], as: admin)
            #expect(first.status == 202 && first["success"] == true && first["errors"] == [])
            #expect(first["syncId"] == first["job", "id"] && first["results", "total"] == 0)
            #expect(first["syncStatus"] == "pending" && first["completedAt"] == nil)
            let second = try await api.send(.post, "/api/v1/admin/sync/models", ["forceSync": true], as: admin)
            #expect(second["job", "id"] == first["job", "id"])
            let bad = try await api.send(.post, "/api/v1/models/sync", ["forceUpdate": "yes"], as: admin)
            #expect(bad.refusedFields == ["forceUpdate"])
        }
    }

    @Test("with Prefer the numbers are those of the run")
    func waited() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            api.litellm.change {
                $0.deployments = [
                    [
                        "model_name": "gpt", "litellm_params": ["model": "openai/gpt"],
                        "model_info": ["id": "1", "litellm_provider": "openai", "mode": "chat"],
                    ]
                ]
            }
            let answer = try await api.send(.post, "/api/v1/models/sync", as: admin, headers: [.prefer: "wait=20"])
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer["totalModels"] == 1 && answer["newModels"] == 1 && answer["syncStatus"] == "synced")
            #expect(answer["results"] == ["modelsAdded": 1, "modelsUpdated": 0, "modelsRemoved": 0, "total": 1])
            #expect(try await api.send(.get, "/api/v1/models")["data", "0", "id"] == "gpt")
        }
    }
}

@Suite("Users", .needsDatabase, .hangGuard)
struct UserRouteTests {
    @Test("a user is made with roles in either spelling, limits and a job")
    func create() async throws {
        try await APIHarness.run {
            $0.settings.defaultLimits = SpendingLimits(maxBudget: 100, tpmLimit: 1000, rpmLimit: 60)
        } _: { api in
            let admin = try await api.addAdmin()
            let body: JSONValue = [
                "username": "bob", "email": "bob@example.com", "fullName": "Bob", "roles": ["adminReadonly", "user"],
            ]
            let answer = try await api.send(.post, "/api/v1/admin/users", body, as: admin)
            #expect(answer.status == 202 && answer["roles"] == ["admin-readonly", "user"])
            #expect(answer["isActive"] == true && answer["maxBudget"] == 100 && answer["syncStatus"] == "pending")
            #expect(answer["job", "kind"] == "user.provision" && answer["job", "resource", "type"] == "user")
            for (field, value) in [("username", "BOB"), ("email", "Bob@Example.com")] {
                var other: [String: JSONValue] = ["username": "carol", "email": "carol@example.com"]
                other[field] = .string(value)
                let taken = try await api.send(.post, "/api/v1/admin/users", .object(other), as: admin)
                #expect(taken.status == 409 && taken.errorCode == "ALREADY_EXISTS", "\(taken.text)")
                #expect(taken["error", "details", "field"]?.stringValue == field)
            }
            #expect(try await api.count("select count(*) from users where username = 'carol'") == 0)
        }
    }

    @Test("bad fields are named")
    func refused() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let empty = try await api.send(.post, "/api/v1/admin/users", as: admin)
            #expect(empty.refusedFields == ["username", "email"])
            let body: JSONValue = ["username": "b", "email": "no address", "roles": ["king"], "isActive": 1]
            let bad = try await api.send(.post, "/api/v1/admin/users", body, as: admin)
            #expect(bad.refusedFields == ["email", "roles[0]", "isActive"])
        }
    }
}

@Suite("Usage", .needsDatabase, .hangGuard)
struct UsageRouteTests {
    /// One day on which the user's key was used, and a foreign one.
    private func addUsage(_ api: APIHarness, key: String, day: String) async throws {
        let day = try #require(UTCDay(day))
        func entry(_ hash: String, spend: Decimal) -> UsageEntry {
            UsageEntry(
                keyHash: hash, modelId: "gpt", provider: "openai", keyAlias: nil,
                totals: UsageTotals(
                    spend: spend, promptTokens: 10, completionTokens: 5, totalTokens: 15, requests: 4,
                    successfulRequests: 3, failedRequests: 1))
        }
        let entries = [entry(key, spend: 1), entry(String(repeating: "f", count: 64), spend: 2)]
        let usage = UsageDay(
            day: day, fetchedAt: Date(), isComplete: true, totals: entries[0].totals + entries[1].totals,
            entries: entries)
        try await api.database.client.withTransaction { transaction in
            _ = try await PostgresUsageStore().replace(usage, jobId: 1, in: transaction)
        }
    }

    @Test("everybody sees their own use, admins all or one user's, and which days lack")
    func summary() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            let other = try await api.addUser("other")
            let admin = try await api.addAdmin()
            try await api.addModels("gpt")
            let secret = try #require(try await api.createKey(as: user)["key"]?.stringValue)
            try await addUsage(api, key: sha256Hex(secret), day: "2026-01-02")
            let query = "/api/v1/usage/summary?startDate=2026-01-01&endDate=2026-01-03"
            let own = try await api.send(.get, query, as: user)
            #expect(own.status == 200 && own["period"] == ["start": "2026-01-01", "end": "2026-01-03"])
            #expect(own["totals", "requests"] == 4 && own["totals", "cost"] == 1 && own["totals", "errorRate"] == 25)
            #expect(own["byModel", "0", "modelId"] == "gpt" && own["byDay", "0", "date"] == "2026-01-02")
            #expect(own["missingDays"] == ["2026-01-01", "2026-01-03"] && own["takenAt"]?.stringValue != nil)
            #expect(try await api.send(.get, query, as: other)["totals", "requests"] == 0)
            #expect(try await api.send(.get, "\(query)&userId=\(user.id.text)", as: other)["totals", "requests"] == 0)
            #expect(try await api.send(.get, query, as: admin)["totals", "cost"] == 3)
            #expect(try await api.send(.get, "\(query)&userId=\(user.id.text)", as: admin)["totals", "cost"] == 1)
            #expect(try await api.send(.get, "\(query)&modelId=none", as: admin)["totals", "requests"] == 0)
        }
    }

    @Test("a day is fetched on demand, by admins")
    func refresh() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let today = UTCDay(containing: Date())
            let answer = try await api.send(.post, "/api/v1/admin/usage/refresh-today", as: admin)
            #expect(answer.status == 202 && answer["status"] == "pending" && answer["refreshedAt"] == nil)
            #expect(answer["job", "resource", "id"]?.stringValue == today.description)
            for date in ["tomorrow", today.next.next.description, "2023-12-31"] {
                let body: JSONValue = ["date": .string(date)]
                let bad = try await api.send(.post, "/api/v1/admin/usage/refresh-today", body, as: admin)
                #expect(bad.refusedFields == ["date"], "\(date)")
            }
            let reader = try await api.addUser("reader", roles: [.adminReadonly])
            #expect(try await api.send(.post, "/api/v1/admin/usage/refresh-today", as: reader).status == 403)
        }
    }
}

@Suite("Health and metrics", .needsDatabase, .hangGuard)
struct HealthRouteTests {
    @Test("all is well")
    func healthy() async throws {
        try await APIHarness.run { api in
            let health = try await api.send(.get, "/api/v1/health")
            #expect(health.status == 200 && health["status"] == "healthy")
            #expect(health["checks"] == ["database": "healthy", "litellm": "healthy", "auth": "healthy"])
            #expect(health["details", "litellmMetrics", "circuitBreakerStatus", "isOpen"] == false)
            #expect(health["details", "breakers"]?.arrayValue?.count == 2)
            // Where LiteLLM is reached from here is nobody's business.
            #expect(!health.text.contains("litellm.test"))
            #expect(try await api.send(.get, "/api/v1/health/live").json == ["alive": true])
            #expect(try await api.send(.get, "/api/v1/health/ready").json == ["ready": true])
        }
    }

    @Test("an open breaker degrades health and leaves readiness alone")
    func breaker() async throws {
        try await APIHarness.run { api in
            _ = try await PostgresBreakerStore().force(
                .litellmAdmin, open: true, reason: "maintenance", by: "root", in: api.database.client)
            let health = try await api.send(.get, "/api/v1/health")
            #expect(
                health.status == 200 && health["status"] == "degraded" && health["checks", "litellm"] == "unhealthy")
            #expect(health["problems", "0", "message"]?.stringValue?.contains("maintenance") == true)
            #expect(health["details", "litellmMetrics", "circuitBreakerStatus", "isOpen"] == true)
            #expect(try await api.send(.get, "/api/v1/health/ready").status == 200)
        }
    }

    @Test("an older schema is not ready, with the command to run")
    func oldSchema() async throws {
        try await APIHarness.run { api in
            try await api.database.client.query("delete from schema_migrations where version > 1")
            let ready = try await api.send(.get, "/api/v1/health/ready")
            #expect(ready.status == 503 && ready["ready"] == false)
            #expect(ready["problem"]?.stringValue?.contains("litemaasctl migrate up") == true)
            let health = try await api.send(.get, "/api/v1/health")
            #expect(health.status == 503 && health["status"] == "unhealthy" && health["checks", "litellm"] == "unknown")
            #expect(try await api.send(.get, "/api/v1/health/live").status == 200)
        }
    }

    @Test("without the database requests are 503 with advice, and the process lives")
    func noDatabase() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            _ = try await api.session(of: user)
            await api.database.client.close()
            let answer = try await api.send(.get, "/api/v1/auth/me", as: user)
            #expect(answer.status == 503 && answer["error", "retry", "retryable"] == true)
            #expect(answer.headers[.retryAfter] != nil)
            #expect(try await api.send(.get, "/api/v1/health/ready").status == 503)
            #expect(try await api.send(.get, "/api/v1/health/live").status == 200)
        }
    }

    @Test("requests are counted by the route's template")
    func metrics() async throws {
        try await APIHarness.run { api in
            APIMetrics.install(
                in: api.registry, database: api.database.client, waiters: api.dependencies.jobs.waiters)
            let user = try await api.addUser()
            for _ in 0..<3 { _ = try await api.send(.get, "/api/v1/api-keys/\(UUID())", as: user) }
            _ = try await api.send(.get, "/api/v1/nowhere/\(UUID())")
            let metrics = try await api.send(.get, "/metrics")
            #expect(metrics.headers[.contentType]?.hasPrefix("text/plain; version=0.0.4") == true)
            let lines = Set(metrics.text.split(separator: "\n").map(String.init))
            #expect(
                lines.contains(
                    #"litemaas_http_requests_total{method="GET",route="/api/v1/api-keys/{id}",status="404"} 3"#))
            #expect(lines.contains(#"litemaas_http_requests_total{method="GET",route="NotFound",status="404"} 1"#))
            #expect(
                lines.contains(
                    #"litemaas_http_request_duration_seconds_count{method="GET",route="/api/v1/api-keys/{id}"} 3"#))
            #expect(lines.contains { $0.hasPrefix(#"litemaas_postgres_connections{pool="domain",state="idle"}"#) })
            #expect(lines.contains("litemaas_api_job_waiters 0"))
        }
    }
}
