import Foundation
import HTTPTypes
import NIOCore
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Jobs over the API", .needsDatabase, .hangGuard)
struct JobRouteTests {
    /// A job of the user, which no worker takes.
    private func addJob(_ api: APIHarness, by user: User) async throws -> String {
        let day = try #require(UTCDay("2026-01-01"))
        let job = try await api.database.client.withTransaction { transaction in
            try await UsageCollection(queue: api.queue).request(
                day, requester: JobRequester(id: user.id.text), in: transaction)
        }
        return String(job.id)
    }

    @Test("owners see their own jobs, admins all; for others there is none")
    func visibility() async throws {
        try await APIHarness.run { api in
            let owner = try await api.addUser("owner")
            let other = try await api.addUser("other")
            let admin = try await api.addAdmin()
            let reader = try await api.addUser("reader", roles: [.adminReadonly])
            let id = try await addJob(api, by: owner)
            for (user, status) in [(owner, 200), (admin, 200), (reader, 200), (other, 404)] {
                for path in ["", "?wait=1", "/events"] where status == 404 || path.isEmpty {
                    let answer = try await api.send(.get, "/api/v1/jobs/\(id)\(path)", as: user)
                    #expect(answer.status == status, "\(user.username) \(path)")
                }
                let list = try await api.send(.get, "/api/v1/jobs", as: user)
                #expect(list.json["data"]?.arrayValue?.count == (status == 200 ? 1 : 0), "\(user.username)")
            }
            let filtered = try await api.send(.get, "/api/v1/jobs?userId=\(other.id.text)", as: admin)
            #expect(filtered["data"] == [])
            // Somebody who may not see others' jobs cannot ask for them either.
            let asked = try await api.send(.get, "/api/v1/jobs?userId=\(owner.id.text)", as: other)
            #expect(asked["data"] == [])
            for path in ["retry", "cancel"] {
                #expect(try await api.send(.post, "/api/v1/jobs/\(id)/\(path)", as: owner).status == 403)
                #expect(try await api.send(.post, "/api/v1/jobs/\(id)/\(path)", as: reader).status == 403)
            }
        }
    }

    @Test("a list is filtered and paged by the last id")
    func list() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            for day in 1...5 {
                let body: JSONValue = ["date": .string("2026-01-0\(day)")]
                #expect(try await api.send(.post, "/api/v1/admin/usage/refresh-today", body, as: admin).status == 202)
            }
            #expect(try await api.send(.post, "/api/v1/models/sync", as: admin).status == 202)
            let first = try await api.send(.get, "/api/v1/jobs?kind=usage.fetchDay&limit=3", as: admin)
            #expect(first["data"]?.arrayValue?.count == 3 && first["pagination", "hasNext"] == true)
            let before = try #require(first["pagination", "before"]?.stringValue)
            let second = try await api.send(
                .get, "/api/v1/jobs?kind=usage.fetchDay&limit=3&before=\(before)", as: admin)
            #expect(second["data"]?.arrayValue?.count == 2 && second["pagination", "hasNext"] == false)
            let ids = [first, second].flatMap { $0["data"]?.arrayValue ?? [] }.compactMap { $0["id"]?.stringValue }
            #expect(ids == ids.sorted { (Int($0) ?? 0) > (Int($1) ?? 0) } && Set(ids).count == 5)
            let ready = try await api.send(.get, "/api/v1/jobs?state=ready,running&state=failed", as: admin)
            #expect(ready["data"]?.arrayValue?.count == 6)
            #expect(try await api.send(.get, "/api/v1/jobs?state[]=failed", as: admin)["data"] == [])
            let bad = try await api.send(.get, "/api/v1/jobs?state=done&limit=101&before=x", as: admin)
            #expect(bad.status == 400 && Set(bad.refusedFields) == ["state", "limit", "before"])
            #expect(try await api.send(.get, "/api/v1/jobs?kind=nonsense", as: admin).refusedFields == ["kind"])
        }
    }

    @Test("wait holds the answer until the job has ended")
    func wait() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            api.gate.close()
            let asked = try await api.send(.post, "/api/v1/models/sync", as: admin)
            let id = try #require(asked["job", "id"]?.stringValue)
            let running = try await api.send(.get, "/api/v1/jobs/\(id)?wait=1", as: admin)
            #expect(running.status == 200 && running["state"]?.stringValue != "succeeded")
            async let waiting = api.send(.get, "/api/v1/jobs/\(id)?wait=30", as: admin)
            let isHeld = try await eventually { api.gate.waitingCount > 0 }
            #expect(isHeld)
            api.gate.open()
            let ended = try await waiting
            // An empty listing is doubted, so the first run of an empty LiteLLM has nothing to report but that.
            #expect(ended["finishedAt"]?.stringValue != nil, "\(ended.text)")
            for wait in ["31", "-1", "x", "1.5"] {
                let bad = try await api.send(.get, "/api/v1/jobs/\(id)?wait=\(wait)", as: admin)
                #expect(bad.status == 400 && bad.refusedFields == ["wait"])
            }
        }
    }

    @Test("ids that are none are 400, unknown ones 404")
    func ids() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            for id in ["x", "0", "-1", "99999999999999999999", "1.0"] {
                #expect(try await api.send(.get, "/api/v1/jobs/\(id)", as: admin).refusedFields == ["id"], "\(id)")
            }
            let missing = try await api.send(.get, "/api/v1/jobs/4711", as: admin)
            #expect(missing.status == 404 && missing["error", "details", "id"] == "4711")
            #expect(try await api.send(.post, "/api/v1/jobs/4711/retry", as: admin).status == 404)
        }
    }

    @Test("cancel ends a waiting job, once; a revocation only by force")
    func cancel() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let id = try await addJob(api, by: admin)
            let answer = try await api.send(
                .post, "/api/v1/jobs/\(id)/cancel", as: admin, headers: [.idempotencyKey: "c"])
            #expect(answer.status == 202 && answer["job", "state"] == "cancelled")
            let again = try await api.send(.post, "/api/v1/jobs/\(id)/cancel", as: admin)
            #expect(again.status == 409 && again.errorCode == "CONFLICT")
            let replay = try await api.send(
                .post, "/api/v1/jobs/\(id)/cancel", as: admin, headers: [.idempotencyKey: "c"])
            #expect(replay.status == 202 && replay.headers[.idempotencyReplayed] == "true")
            #expect(try await api.count("select count(*) from audit_logs where action = 'JOB_CANCEL'") == 1)

            try await api.addModels("gpt")
            let key = try #require(try await api.createKey(as: admin)["id"]?.stringValue)
            let gone = try await api.send(.delete, "/api/v1/api-keys/\(key)", as: admin)
            let revocation = try #require(gone["job", "id"]?.stringValue)
            let refused = try await api.send(.post, "/api/v1/jobs/\(revocation)/cancel", as: admin)
            #expect(refused.status == 409)
            let forced = try await api.send(.post, "/api/v1/jobs/\(revocation)/cancel", ["force": true], as: admin)
            #expect(forced.status == 202)
            let bad = try await api.send(.post, "/api/v1/jobs/\(revocation)/cancel", ["force": "yes"], as: admin)
            #expect(bad.refusedFields == ["force"])
        }
    }

    @Test("only what failed or waits can be retried")
    func retry() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let id = try await addJob(api, by: admin)
            let answer = try await api.send(.post, "/api/v1/jobs/\(id)/retry", as: admin)
            #expect(answer.status == 409 && answer["error", "message"]?.stringValue?.contains("ready") == true)
            #expect(try await api.count("select count(*) from audit_logs where action = 'JOB_RETRY'") == 0)
        }
    }
}

@Suite("Server-sent events", .needsDatabase, .hangGuard)
struct JobEventTests {
    private func events(_ answer: Answer) throws -> [JSONValue] {
        try answer.text.components(separatedBy: "\n\n").filter { $0.hasPrefix("event: job\n") }.map { event in
            let data = try #require(event.components(separatedBy: "\ndata: ").last)
            return try JSONParser.parse(Array(data.utf8))
        }
    }

    @Test("a job is followed from the state it is in to its end", arguments: [false, true])
    func follow(isLive: Bool) async throws {
        try await APIHarness.run {
            $0.hasWorker = true
            $0.isLive = isLive
        } _: { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            api.gate.close()
            let asked = try await api.createKey(as: user)
            let id = try #require(asked["job", "id"]?.stringValue)
            let answer = try await withThrowingTaskGroup(of: Answer?.self) { group in
                group.addTask { try await api.send(.get, "/api/v1/jobs/\(id)/events", as: user) }
                group.addTask {
                    // Only a request that listens has been told of the job's first state.
                    let isHeld = try await eventually {
                        api.gate.waitingCount > 0 && api.dependencies.jobs.waiters.listening > 0
                    }
                    #expect(isHeld)
                    api.gate.open()
                    return nil
                }
                let answers = try await group.reduce(into: [Answer?]()) { $0.append($1) }
                return try #require(answers.compactMap(\.self).first)
            }
            #expect(answer.status == 200 && answer.headers[.contentType] == "text/event-stream")
            #expect(answer.text.hasPrefix("retry: 2000\n\n"))
            let states = try events(answer).compactMap { $0["state"]?.stringValue }
            #expect(states.first == "blocked" && states.last == "succeeded", "\(states)")
            #expect(states.dropLast().allSatisfy { $0 != "succeeded" })
        }
    }

    @Test("of a job that has ended there is one event; beyond the limit of waiters too")
    func single() async throws {
        try await APIHarness.run {
            $0.waiterLimit = 0
        } _: { api in
            let admin = try await api.addAdmin()
            let asked = try await api.send(.post, "/api/v1/models/sync", as: admin)
            let id = try #require(asked["job", "id"]?.stringValue)
            let waiting = try await api.send(.get, "/api/v1/jobs/\(id)/events", as: admin)
            #expect(try events(waiting).map { $0["state"] } == ["ready"])
            #expect(try await api.send(.post, "/api/v1/jobs/\(id)/cancel", as: admin).status == 202)
            let ended = try await api.send(.get, "/api/v1/jobs/\(id)/events", as: admin)
            #expect(try events(ended).map { $0["state"] } == ["cancelled"])
        }
    }
}
