import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Schedules and limits for operators", .needsDatabase, .hangGuard)
struct AdminScheduleRouteTests {
    private static let path = "/api/v1/admin/schedules"

    private func seed(_ api: APIHarness) async throws {
        try await JobSchedules(queue: api.queue).create(
            try ScheduleDraft(
                name: "purge", description: "Tidies up.", job: SecretsPurge(), cron: "0 3 * * *",
                timeZone: "Europe/Prague"),
            by: AuditActor(userId: nil, name: "ann"))
    }

    @Test("a schedule is shown with its next runs, changed, stopped and started; bad input is named")
    func change() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let shape = try DocumentedShape()
            try await seed(api)
            let list = try await api.send(.get, Self.path, as: admin)
            #expect(list["data"]?.arrayValue?.count == 1)
            #expect(shape.problems(of: list["data", "0"], as: "Schedule") == [])
            let one = try await api.send(.get, "\(Self.path)/purge?runs=3", as: admin)
            #expect(one.status == 200 && shape.problems(of: one.json, as: "ScheduleReport") == [])
            #expect(one["nextRuns"]?.arrayValue?.count == 3 && one["schedule", "enabled"] == true)

            let changed = try await api.send(
                .patch, "\(Self.path)/purge", ["cron": "*/5 * * * *", "jitterSeconds": 10], as: admin)
            #expect(changed.status == 200 && changed["cron"] == "*/5 * * * *" && changed["changedBy"] == "root")
            #expect(changed["timeZone"] == "Europe/Prague" && changed["jitterSeconds"] == 10)
            #expect(shape.problems(of: changed.json, as: "Schedule") == [])
            for (body, field) in [
                (["cron": "61 * * * *"], "cron"), (["timeZone": "Moon/Crater"], "timeZone"),
                (["catchUp": "some"], "catchUp"), (["jitterSeconds": -1], "jitterSeconds"), (["args": 1], "args"),
            ] as [(JSONValue, String)] {
                let bad = try await api.send(.patch, "\(Self.path)/purge", body, as: admin)
                #expect(bad.status == 400 && bad.refusedFields == [field], "\(bad.text)")
            }
            let stopped = try await api.send(.post, "\(Self.path)/purge/disable", ["reason": "audit"], as: admin)
            #expect(stopped["enabled"] == false && stopped["disableReason"] == "audit", "\(stopped.text)")
            #expect(stopped["disabledBy"] == "root" && stopped["nextRunAt"] == nil)
            let started = try await api.send(.post, "\(Self.path)/purge/enable", as: admin)
            #expect(started["enabled"] == true && started["nextRunAt"] != nil)
            for path in ["nope", "nope/enable", "nope/trigger"] {
                let method: HTTPRequest.Method = path == "nope" ? .get : .post
                #expect(try await api.send(method, "\(Self.path)/\(path)", as: admin).status == 404, "\(path)")
            }
            #expect(
                try await api.count(
                    "select count(*) from audit_logs where action like 'JOB_SCHEDULE%' and actor = 'root'") == 3)
        }
    }

    @Test("what a schedule's jobs do is changed with admin:system only, and to nothing that a policy may not do")
    func args() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            try await JobSchedules(queue: api.queue).create(
                try ScheduleDraft(
                    name: "reconcile", description: "Compares.", job: ReconcileOrphans(), cron: "0 3 * * *"),
                by: AuditActor(userId: nil, name: "ann"))
            let made = try await api.send(
                .post, "/api/v1/admin/service-tokens", ["name": "cron", "scopes": ["admin:jobs:write"]], as: admin)
            let bearer: HTTPFields = [.authorization: "Bearer \(try #require(made["token"]?.stringValue))"]
            let path = "\(Self.path)/reconcile"
            let args: JSONValue = ["args": ["dryRun": false, "policy": ["unknown": "revoke"]]]
            let refused = try await api.send(.patch, path, args, headers: bearer)
            #expect(refused.status == 403 && refused.text.contains("admin:system"), "\(refused.text)")
            let moved = try await api.send(.patch, path, ["cron": "0 4 * * *"], headers: bearer)
            #expect(moved.status == 200, "\(moved.text)")
            let impossible = try await api.send(
                .patch, path, ["args": ["dryRun": false, "policy": ["unknown": "repair"]]], as: admin)
            #expect(impossible.status == 400 && impossible.refusedFields == ["args"])
            #expect(impossible.text.contains("policy.unknown must be report or revoke"), "\(impossible.text)")
            let taken = try await api.send(.patch, path, args, as: admin)
            #expect(taken.status == 200 && taken["args", "policy", "unknown"] == "revoke", "\(taken.text)")
        }
    }

    @Test("triggering puts its job in, once for an Idempotency-Key, and never beside a run that goes on")
    func trigger() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            try await seed(api)
            let headers: HTTPFields = [.known("Idempotency-Key"): "trigger-1"]
            let first = try await api.send(.post, "\(Self.path)/purge/trigger", as: admin, headers: headers)
            #expect(first.status == 202 && first["job", "kind"] == "secrets.purge", "\(first.text)")
            let again = try await api.send(.post, "\(Self.path)/purge/trigger", as: admin, headers: headers)
            #expect(again["job", "id"] == first["job", "id"])
            let beside = try await api.send(.post, "\(Self.path)/purge/trigger", as: admin)
            #expect(beside.status == 409 && beside.errorCode == "CONFLICT")
            let shown = try await api.send(.get, "\(Self.path)/purge", as: admin)
            #expect(
                shown["schedule", "lastJobId"] == first["job", "id"] && shown["ticks", "0", "outcome"] == "triggered")
            #expect(try DocumentedShape().problems(of: shown.json, as: "ScheduleReport") == [])
        }
    }

    @Test("limits are set on queues and kinds, shown and lifted; explain says that one is reached")
    func limits() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let shape = try DocumentedShape()
            let kind = "/api/v1/admin/kinds/usage.fetchDay/limits"
            let set = try await api.send(
                .put, kind, ["maxRunning": 2, "rate": ["count": 10, "seconds": 60]], as: admin)
            #expect(set.status == 200 && shape.problems(of: set.json, as: "LimitAnswer") == [], "\(set.text)")
            #expect(set["limit", "maxRunning"] == 2 && set["limit", "rate", "seconds"] == 60)
            let queue = try await api.send(.put, "/api/v1/admin/queues/usage/limits", ["maxRunning": 0], as: admin)
            #expect(queue["limit", "scope"] == "queue" && queue["limit", "changedBy"] == "root")
            let list = try await api.send(.get, "/api/v1/admin/limits", as: admin)
            #expect(list["data"]?.arrayValue?.compactMap { $0["name"]?.stringValue } == ["usage", "usage.fetchDay"])

            let id = try await api.addJob(1, as: admin)
            let explained = try await api.send(.get, "/api/v1/admin/jobs/\(id)/explain", as: admin)
            #expect(explained.status == 200 && shape.problems(of: explained.json, as: "JobExplanation") == [])
            let codes = explained["reasons"]?.arrayValue?.compactMap { $0["code"]?.stringValue } ?? []
            #expect(codes.contains("limit_reached"), "\(explained.text)")
            #expect(try await api.send(.get, "/api/v1/admin/jobs/999999/explain", as: admin).status == 404)

            let lifted = try await api.send(.put, kind, [:], as: admin)
            #expect(lifted.status == 200 && lifted["limit"] == nil)
            for (path, body, fields) in [
                (kind, ["maxRunning": -1], ["maxRunning"]), (kind, ["rate": ["count": 1]], ["rate.seconds"]),
                (kind, ["rate": 5], ["rate"]),
            ] as [(String, JSONValue, [String])] {
                let bad = try await api.send(.put, path, body, as: admin)
                #expect(bad.status == 400 && bad.refusedFields == fields, "\(bad.text)")
            }
            for path in ["kinds/no.such", "queues/nope"] {
                let missing = try await api.send(.put, "/api/v1/admin/\(path)/limits", ["maxRunning": 1], as: admin)
                #expect(missing.status == 404, "\(path)")
            }
            let security = "/api/v1/admin/queues/security/limits"
            let refused = try await api.send(.put, security, ["maxRunning": 1], as: admin)
            #expect(refused.status == 409 && refused["error", "details", "field"] == "force")
            #expect(try await api.send(.put, security, ["maxRunning": 1, "force": true], as: admin).status == 200)
        }
    }
}
