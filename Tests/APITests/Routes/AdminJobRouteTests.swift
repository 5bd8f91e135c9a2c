import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

extension APIHarness {
    /// Ends a job as a worker would whose attempt failed for good.
    func fail(_ jobId: String?, code: String = "broken") async throws {
        let id = try #require(jobId.flatMap { Int64($0) })
        try await database.client.query("update jobs set state = 1 where id = \(id)")
        let token = Int64(try await count("select token from jobs where id = \(id)"))
        let error = JobErrorInfo(errorClass: .permanent, code: code, message: "It broke.")
        let ended = try await queue.end(jobId: id, token: token, as: .failed, error: error, by: nil, attempted: false)
        try #require(ended.ended.contains(id))
    }

    /// A day of usage that is asked for: a job that no worker takes.
    func addJob(_ day: Int, as user: User) async throws -> String {
        let body: JSONValue = ["date": .string("2026-01-\(day < 10 ? "0" : "")\(day)")]
        let answer = try await send(.post, "/api/v1/admin/usage/refresh-today", body, as: user)
        return try #require(answer["job", "id"]?.stringValue)
    }
}

@Suite("Jobs for operators", .needsDatabase, .hangGuard)
struct AdminJobRouteTests {
    private static let path = "/api/v1/admin/jobs"

    @Test("owners get nothing here, readers read, admins write")
    func access() async throws {
        try await APIHarness.run { api in
            let owner = try await api.addUser("owner")
            let reader = try await api.addUser("reader", roles: [.adminReadonly])
            let admin = try await api.addAdmin()
            let id = try await api.addJob(1, as: admin)
            let ofOperators: [AccessPolicy] = [.permission(.jobsReadAll), .permission(.jobsWrite)]
            for route in allRoutes(api.dependencies)
            where route.path.hasPrefix("/api/v1/admin/") && ofOperators.contains(route.policy) {
                let path = route.path.replacing("{id}", with: id).replacing("{name}", with: "default")
                let isRead = route.method == .get
                #expect(try await api.send(route.method, path, as: owner).status == 403, "\(route.path)")
                #expect(
                    try await api.send(route.method, path, as: reader).status != 403 || !isRead, "\(route.path)")
                if !isRead { #expect(try await api.send(route.method, path, as: reader).status == 403, "\(path)") }
            }
            #expect(try await api.send(.get, "\(Self.path)/\(id)", as: reader).status == 200)
        }
    }

    @Test("jobs are found by filters and paged by a cursor, in the documented shape; bad input is named")
    func list() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let shape = try DocumentedShape()
            var ids: [String] = []
            for day in 1...5 { ids.append(try await api.addJob(day, as: admin)) }
            try await api.fail(ids[2], code: "bad_day")
            let first = try await api.send(.get, "\(Self.path)?kind=usage.fetchDay&limit=3", as: admin)
            #expect(first.status == 200 && shape.problems(of: first.json, as: "JobPage") == [])
            #expect(first["data"]?.arrayValue?.compactMap { $0["id"]?.stringValue } == [ids[4], ids[3], ids[2]])
            #expect(first["pagination", "total"] == ["value": 5, "isExact": true])
            let cursor = try #require(first["pagination", "cursor"]?.stringValue)
            let second = try await api.send(
                .get, "\(Self.path)?kind=usage.fetchDay&limit=3&cursor=\(cursor)", as: admin)
            #expect(second["data"]?.arrayValue?.compactMap { $0["id"]?.stringValue } == [ids[1], ids[0]])
            #expect(second["pagination", "hasNext"] == false && second["pagination", "cursor"] == nil)
            for (query, count) in [
                ("state=failed&discarded=false", 1), ("errorCode=bad_day", 1), ("text=2026-01-04", 1),
                ("state=ready,failed&queue=usage", 5), ("createdBefore=2020-01-01T00:00:00Z", 0),
                ("requestedBy=\(admin.id.text)&state=ready", 4),
            ] {
                let found = try await api.send(.get, "\(Self.path)?\(query)", as: admin)
                #expect(found["data"]?.arrayValue?.count == count, "\(query): \(found.text)")
            }
            let bad = try await api.send(
                .get, "\(Self.path)?state=x&limit=0&createdAfter=today&discarded=perhaps", as: admin)
            #expect(bad.status == 400)
            #expect(Set(bad.refusedFields) == ["state", "limit", "createdAfter", "discarded"])
            #expect(try await api.send(.get, "\(Self.path)?cursor=zz", as: admin).refusedFields == ["cursor"])
            let unknown = try await api.send(.get, "\(Self.path)?kind=no.such", as: admin)
            #expect(unknown.refusedFields == ["kind"] && unknown.text.contains("key.create"))

            let one = try await api.send(.get, "\(Self.path)/\(ids[0])", as: admin)
            #expect(shape.problems(of: one.json, as: "AdminJob") == [])
            #expect(one["parameters", "date"] == "2026-01-01" && one["waiting", "reason"] == "no_worker")
            #expect(try await api.send(.get, "\(Self.path)/999999", as: admin).status == 404)
            let statistics = try await api.send(.get, "\(Self.path)/stats", as: admin)
            #expect(shape.problems(of: statistics.json, as: "JobStatistics") == [])
            #expect(statistics["states"] == ["failed": 1, "ready": 4])
            #expect(statistics["failures", "0", "errorCode"] == "bad_day")
        }
    }

    @Test("a failed key that is given up says so, keeps what is wanted, and loses its secret")
    func discard() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let user = try await api.addUser()
            try await api.addModels("gpt")
            let created = try await api.createKey(as: user)
            let keyId = try #require(created["id"]?.stringValue)
            let jobId = try #require(created["job", "id"]?.stringValue)
            let early = try await api.send(.post, "\(Self.path)/\(jobId)/discard", as: admin)
            #expect(early.status == 409 && early.errorCode == "CONFLICT")
            try await api.fail(jobId)
            #expect(try await api.count("select count(*) from sealed_secrets") == 1)

            let answer = try await api.send(.post, "\(Self.path)/\(jobId)/discard", ["reason": "typo"], as: admin)
            #expect(answer.status == 202 && answer["job", "state"] == "failed", "\(answer.text)")
            #expect(answer["job", "discardedBy"] == "root" && answer["job", "discardedAt"] != nil)
            #expect(try await api.count("select count(*) from sealed_secrets") == 0)
            let key = try await api.send(.get, "/api/v1/api-keys/\(keyId)", as: user)
            #expect(key["syncStatus"] == "failed")
            #expect(key["syncError", "message"] == "It broke. Discarded by root.")
            #expect(try await api.send(.post, "\(Self.path)/\(jobId)/retry", as: admin).status == 409)
            #expect(
                try await api.count(
                    "select count(*) from audit_logs where action = 'JOB_DISCARD' and metadata ->> 'reason' = 'typo'")
                    == 1)
        }
    }

    @Test("retry, cancel and reschedule change one job; security work only by force")
    func changes() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let id = try await api.addJob(1, as: admin)
            try await api.fail(id)
            #expect(try await api.send(.post, "\(Self.path)/\(id)/retry", as: admin)["job", "state"] == "ready")
            let later = try await api.send(
                .post, "\(Self.path)/\(id)/reschedule", ["runAt": "2100-01-01T00:00:00Z"], as: admin)
            #expect(later.status == 202 && later["job", "state"] == "scheduled", "\(later.text)")
            #expect(try await api.send(.post, "\(Self.path)/\(id)/reschedule", as: admin).refusedFields == ["runAt"])
            let bad = try await api.send(
                .post, "\(Self.path)/\(id)/cancel", ["force": "yes", "reason": ""], as: admin)
            #expect(Set(bad.refusedFields) == ["force", "reason"])
            #expect(try await api.send(.post, "\(Self.path)/\(id)/cancel", as: admin)["job", "state"] == "cancelled")

            let user = try await api.addUser()
            try await api.addModels("gpt")
            let keyId = try #require(try await api.createKey(as: user)["id"]?.stringValue)
            let revoked = try await api.send(.delete, "/api/v1/api-keys/\(keyId)", as: user)
            let revoke = try #require(revoked["job", "id"]?.stringValue)
            for action in ["cancel", "reschedule"] {
                let refused = try await api.send(
                    .post, "\(Self.path)/\(revoke)/\(action)", ["runAt": "2100-01-01T00:00:00Z"], as: admin)
                #expect(refused.status == 409 && refused["error", "details", "field"] == "force", "\(refused.text)")
            }
            let forced = try await api.send(.post, "\(Self.path)/\(revoke)/cancel", ["force": true], as: admin)
            #expect(forced["job", "state"] == "cancelled")
            #expect(
                try await api.count(
                    "select count(*) from audit_logs where action = 'JOB_CANCEL' and metadata ->> 'force' = 'true'")
                    == 1)
        }
    }
}

@Suite("Bulk actions over the API", .needsDatabase, .hangGuard)
struct AdminBulkRouteTests {
    private static let path = "/api/v1/admin/jobs/bulk"

    @Test("a dry run is the default; what is wrong with a request is named")
    func dryRun() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let shape = try DocumentedShape()
            let id = try await api.addJob(1, as: admin)
            try await api.fail(id)
            let request: JSONValue = ["action": "retry", "filter": ["errorCode": "broken", "kind": "usage.fetchDay"]]
            let preview = try await api.send(.post, Self.path, request, as: admin)
            #expect(preview.status == 200 && shape.problems(of: preview.json, as: "BulkPreview") == [])
            #expect(preview["dryRun"] == true && preview["affected", "value"] == 1)
            #expect(preview["sample", "0", "id"]?.stringValue == id)
            #expect(try await api.count("select count(*) from jobs") == 0)
            for (body, fields) in [
                ([:], ["action", "filter"]), (["action": "stop", "filter": ["kind": "usage.fetchDay"]], ["action"]),
                (["action": "cancel", "filter": [:]], ["filter"]),
                (["action": "cancel", "filter": ["state": ["done"], "ids": ["x"]]], ["filter.state", "filter.ids"]),
                (["action": "reschedule", "filter": ["kind": "usage.fetchDay"]], ["runAt"]),
                (["action": "retry", "filter": ["kind": "no.such"]], ["kind"]),
                (["action": "retry", "filter": ["text": 1], "dryRun": 0], ["filter.text", "dryRun"]),
            ] as [(JSONValue, Set<String>)] {
                let answer = try await api.send(.post, Self.path, body, as: admin)
                #expect(answer.status == 400 && Set(answer.refusedFields) == fields, "\(answer.text)")
            }
        }
    }

    @Test("carried out it is a job with a report, once for an Idempotency-Key")
    func run() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            let shape = try DocumentedShape()
            try await api.database.client.query("update job_queues set paused_at = now() where name = 'usage'")
            for day in 1...5 { _ = try await api.addJob(day, as: admin) }
            let request: JSONValue = [
                "action": "cancel", "filter": ["queue": "usage"], "dryRun": false, "reason": "not needed",
            ]
            var headers: HTTPFields = [.known("Idempotency-Key"): "bulk-1"]
            let started = try await api.send(.post, Self.path, request, as: admin, headers: headers)
            #expect(started.status == 202 && shape.problems(of: started.json, as: "BulkStarted") == [])
            headers[.known("Prefer")] = "wait=20"
            let done = try await api.send(.post, Self.path, request, as: admin, headers: headers)
            #expect(done.status == 200 && done["job", "id"] == started["job", "id"], "\(done.text)")
            #expect(shape.problems(of: done.json, as: "BulkStarted") == [])
            #expect(done["report", "changed"] == 5 && done["report", "refused"] == [])
            #expect(try await api.count("select count(*) from job_history where ended_by = 'root'") == 5)
            #expect(try await api.count("select count(*) from audit_logs where action = 'JOBS_BULK_CANCEL'") == 1)
        }
    }
}
