import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Queues, breakers and workers for operators", .needsDatabase, .hangGuard)
struct AdminEngineRouteTests {
    @Test("a queue is paused with a reason and resumed; the security queue only by force")
    func queues() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let shape = try DocumentedShape()
            let list = try await api.send(.get, "/api/v1/admin/queues", as: admin)
            let queues = try #require(list["data"]?.arrayValue)
            #expect(queues.compactMap { $0["name"]?.stringValue } == ["default", "security", "usage"])
            for queue in queues { #expect(shape.problems(of: queue, as: "Queue") == []) }
            let paused = try await api.send(
                .post, "/api/v1/admin/queues/usage/pause", ["reason": "month end"], as: admin)
            #expect(paused.status == 200 && paused["isPaused"] == true && paused["pauseReason"] == "month end")
            #expect(paused["pausedBy"] == "root" && shape.problems(of: paused.json, as: "Queue") == [])
            #expect(try await api.send(.get, "/api/v1/admin/queues/usage", as: admin)["isPaused"] == true)
            let resumed = try await api.send(.post, "/api/v1/admin/queues/usage/resume", as: admin)
            #expect(resumed["isPaused"] == false && resumed["pausedAt"] == nil)
            let refused = try await api.send(.post, "/api/v1/admin/queues/security/pause", as: admin)
            #expect(refused.status == 409 && refused["error", "details", "field"] == "force")
            let forced = try await api.send(.post, "/api/v1/admin/queues/security/pause", ["force": true], as: admin)
            #expect(forced.status == 200 && forced["isPaused"] == true)
            let missing = try await api.send(.post, "/api/v1/admin/queues/nope/resume", as: admin)
            #expect(missing.status == 404 && missing["error", "details", "resource"] == "queue")
            #expect(try await api.count("select count(*) from audit_logs where action = 'JOB_QUEUE_PAUSE'") == 2)
        }
    }

    @Test("a breaker is held open or closed with a reason and reset")
    func breakers() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let shape = try DocumentedShape()
            let path = "/api/v1/admin/breakers/litellm.admin"
            let list = try await api.send(.get, "/api/v1/admin/breakers", as: admin)
            #expect(list["data"]?.arrayValue?.count == 2)
            #expect(shape.problems(of: list["data", "0"], as: "Breaker") == [])
            let open = try await api.send(
                .post, "\(path)/force", ["state": "open", "reason": "maintenance"], as: admin)
            #expect(open.status == 200 && open["state"] == "forced_open" && open["changedBy"] == "root")
            #expect(try await api.send(.get, path, as: admin)["reason"] == "maintenance")
            let bad = try await api.send(.post, "\(path)/force", ["state": "ajar"], as: admin)
            #expect(bad.status == 400 && Set(bad.refusedFields) == ["state", "reason"])
            let reset = try await api.send(.post, "\(path)/reset", as: admin)
            #expect(reset["state"] == "closed" && reset["isForced"] == false)
            #expect(try await api.send(.post, "/api/v1/admin/breakers/nope/reset", as: admin).status == 404)
            #expect(try await api.send(.get, "/api/v1/admin/breakers/nope", as: admin).status == 404)
        }
    }

    @Test("workers show what they are, and are drained and resumed")
    func workers() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            let shape = try DocumentedShape()
            let path = "/api/v1/admin/workers"
            let isThere = try await eventually {
                try await api.send(.get, path, as: admin)["data", "0"] != nil
            }
            try #require(isThere)
            let worker = try #require(try await api.send(.get, path, as: admin)["data", "0"])
            #expect(worker["state"] == "active" && shape.problems(of: worker, as: "Worker") == [])
            let id = try #require(worker["id"]?.intValue)
            let drained = try await api.send(.post, "\(path)/\(id)/drain", ["reason": "patches"], as: admin)
            #expect(drained.status == 200 && drained["drainRequestedBy"] == "root")
            let isDraining = try await eventually {
                try await api.send(.get, "\(path)/\(id)", as: admin)["state"] == "draining"
            }
            #expect(isDraining)
            let asked = try await api.send(.post, "/api/v1/models/sync", as: admin)
            let resumed = try await api.send(.post, "\(path)/\(id)/resume", as: admin)
            #expect(resumed.status == 200 && resumed["drainRequestedBy"] == nil)
            let job = try #require(asked["job", "id"]?.stringValue)
            let ended = try await api.send(.get, "/api/v1/jobs/\(job)?wait=20", as: admin)
            #expect(ended["finishedAt"] != nil || ended["attempt"]?.intValue ?? 0 > 0)
            #expect(try await api.send(.post, "\(path)/9999/drain", as: admin).status == 404)
            #expect(try await api.send(.get, "\(path)/x", as: admin).refusedFields == ["id"])
        }
    }
}
