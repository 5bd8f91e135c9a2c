import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("How the whole is doing", .needsDatabase, .hangGuard)
struct OperatorViewRouteTests {
    @Test("the status comes from the tables; LiteLLM is not called")
    func status() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            let admin = try await api.addAdmin()
            let user = try await api.addUser("bob")
            _ = try await api.createKey(as: user)
            let answer = try await api.send(.get, "/api/v1/admin/system/status", as: admin)
            #expect(answer.status == 200 && answer["litellm", "status"] == "healthy", "\(answer.text)")
            #expect(answer["litellm", "lastSync"]?.isNull == true && answer["litellm", "modelCount"] == 1)
            #expect(answer["usage"] == ["totalUsers": 2, "activeUsers": 2, "totalSubscriptions": 1, "totalApiKeys": 1])
            #expect(try #require(answer["database", "connectionPool", "total"]?.intValue) > 0)
            #expect(try DocumentedShape().problems(of: answer.json, as: "SystemStatus") == [])
            try await api.database.client.query("update breakers set state = 1 where name = 'litellm.admin'")
            let open = try await api.send(.get, "/api/v1/admin/system/status", as: admin)
            #expect(open["litellm", "status"] == "unhealthy")
            #expect(api.litellm.state.calls.isEmpty)
        }
    }

    @Test("the integration's health counts what agrees and what does not")
    func integration() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            try await api.addUser("bob")
            try await api.database.client.query("update users set sync_status = 'synced' where id = \(admin.id)")
            let path = "/api/v1/integration/health"
            let first = try await api.send(.get, path, as: admin)
            #expect(first.status == 200 && first["liteLLMConnection", "status"] == "connected", "\(first.text)")
            #expect(first["dataConsistency", "usersInSync"] == 1 && first["dataConsistency", "usersOutOfSync"] == 1)
            #expect(first["syncStatus", "failedSyncs"] == 0 && first["syncStatus", "lastGlobalSync"]?.isNull == true)
            #expect(try DocumentedShape().problems(of: first.json, as: "IntegrationHealth") == [])
            try await api.database.client.query("update users set sync_status = 'failed' where username = 'bob'")
            try await api.database.client.query(
                "update breakers set state = 8, changed_at = now() where name = 'litellm.admin'")
            let second = try await api.send(.get, path, as: admin)
            #expect(second["syncStatus", "failedSyncs"] == 1)
            #expect(second["liteLLMConnection", "status"] == "disconnected")
            #expect(try await api.send(.get, path, as: try await api.addUser("eve")).status == 403)
        }
    }

    @Test("alerts name what to do and are gone when it is done; the detailed health holds the same")
    func alerts() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            try await api.database.client.query(
                "update job_queues set paused_at = now(), paused_by = 'ann', pause_reason = 'upgrade' where name = 'usage'"
            )
            let answer = try await api.send(.get, "/api/v1/integration/alerts", as: admin)
            #expect(answer.status == 200, "\(answer.text)")
            #expect(try DocumentedShape().problems(of: answer.json, as: "AlertList") == [])
            // Nobody runs the harness's jobs.
            #expect(answer["alerts", "0", "type"] == "no_worker" && answer["alerts", "0", "severity"] == "critical")
            let paused = try #require(answer["alerts"]?.arrayValue?.first { $0["type"] == "queue_paused" })
            #expect(paused["entityId"] == "usage" && paused["message"]?.stringValue?.contains("upgrade") == true)
            #expect(paused["message"]?.stringValue?.contains("queues resume usage") == true)
            let status = try await api.send(.get, "/api/v1/health/status", as: admin)
            let types = [answer, status].map { $0["alerts"]?.arrayValue?.map { $0["type"] } }
            #expect(status.status == 200 && types[0] == types[1], "\(status.text)")
            #expect(try DocumentedShape().problems(of: status.json, as: "HealthStatus") == [])
            try await api.database.client.query("update job_queues set paused_at = null")
            let after = try await api.send(.get, "/api/v1/integration/alerts", as: admin)
            #expect(after["alerts"]?.arrayValue?.contains { $0["type"] == "queue_paused" } == false)
            let user = try await api.addUser("bob")
            for path in ["/api/v1/integration/alerts", "/api/v1/health/status"] {
                #expect(try await api.send(.get, path, as: user).status == 403)
            }
        }
    }

    @Test("metrics are where LiteMaaS has them too")
    func metrics() async throws {
        try await APIHarness.run { api in
            let answer = try await api.send(.get, "/api/v1/health/metrics")
            #expect(answer.status == 200 && answer.headers[.contentType]?.hasPrefix("text/plain") == true)
            #expect(answer.text.contains("litemaas_"))
        }
    }
}
