import Foundation
import Hummingbird
import Jobs
import Shared

/// Schedules, for operators: what runs when, changed, stopped, triggered.
struct AdminScheduleRoutes: RouteGroup {
    private static let path = "/api/v1/admin/schedules"

    let schedules: JobSchedules
    let queue: JobQueue
    let changes: Changes

    var routes: [Route] {
        [
            .permitted(.jobsReadAll, .get, Self.path, list),
            .permitted(.jobsReadAll, .get, "\(Self.path)/{name}", get),
            .permitted(.jobsWrite, .patch, "\(Self.path)/{name}", update),
            .permitted(.jobsWrite, .post, "\(Self.path)/{name}/enable") { try await setEnabled(true, $0) },
            .permitted(.jobsWrite, .post, "\(Self.path)/{name}/disable") { try await setEnabled(false, $0) },
            .permitted(.jobsWrite, .post, "\(Self.path)/{name}/trigger", trigger),
        ]
    }

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        try .report(ReportList(data: try await schedules.list()))
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        let name = try call.call.parameter("name")
        var query = try call.call.query()
        let runs = query.int("runs", in: 1...100) ?? 5
        let ticks = query.int("ticks", in: 1...200) ?? 20
        try query.check()
        return try .report(try await schedules.report(name, runs: runs, ticks: ticks))
    }

    private func update(_ call: AuthenticatedCall) async throws -> Response {
        let name = try call.call.parameter("name")
        let body = try await call.call.body()
        let change = try Self.change(body)
        // They decide what the jobs do, and those may do more than the caller may.
        if change.args != nil { try call.principal.require(.adminSystem) }
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            let schedule = try await schedules.update(name, change, by: call.actor, in: transaction)
            return Change(resource: try Report(schedule), job: nil)
        }
    }

    private static func change(_ body: JSONBody) throws(APIError) -> ScheduleChange {
        var fields = body.fields
        var change = ScheduleChange()
        change.cron = fields.string("cron", length: 1...200)
        change.timeZone = fields.string("timeZone", length: 1...100)
        change.description = fields.string("description", length: 0...500)
        change.args = fields.object("args").map { .object($0) }
        change.catchUpLimit = fields.int("catchUpLimit", in: 1...1000)
        change.jitterSeconds = fields.int("jitterSeconds", in: 0...86_400)
        if let text = fields.string("catchUp", length: 1...10) {
            change.catchUp = ScheduleCatchUp(rawValue: text)
            if change.catchUp == nil { fields.refuse("catchUp", .choice, "must be one of none, once, all") }
        }
        try fields.check()
        return change
    }

    private func setEnabled(_ isEnabled: Bool, _ call: AuthenticatedCall) async throws -> Response {
        let name = try call.call.parameter("name")
        let body = try await call.call.body()
        let reason = try body.decision().reason
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            let schedule = try await schedules.setEnabled(
                isEnabled, name, reason: reason, by: call.actor, in: transaction)
            return Change(resource: try Report(schedule), job: nil)
        }
    }

    private func trigger(_ call: AuthenticatedCall) async throws -> Response {
        let name = try call.call.parameter("name")
        let body = try await call.call.body()
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            let job = try await schedules.trigger(name, by: call.actor, in: transaction)
            let seen = try await queue.job(id: job.id, in: transaction)
            return Change(resource: Message("The schedule's job was put in."), job: seen.map { JobView($0) })
        }
    }
}

/// Limits on queues and kinds that hold for the whole fleet, for operators.
struct AdminLimitRoutes: RouteGroup {
    let limits: JobLimits
    let changes: Changes

    var routes: [Route] {
        [
            .permitted(.jobsReadAll, .get, "/api/v1/admin/limits", list),
            .permitted(.jobsWrite, .put, "/api/v1/admin/queues/{name}/limits") { try await set(.queue, $0) },
            .permitted(.jobsWrite, .put, "/api/v1/admin/kinds/{name}/limits") { try await set(.kind, $0) },
        ]
    }

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        try .report(ReportList(data: try await limits.list()))
    }

    private func set(_ scope: JobLimitScope, _ call: AuthenticatedCall) async throws -> Response {
        let name = try call.call.parameter("name")
        let body = try await call.call.body()
        let force = try body.decision().force
        var fields = body.fields
        let maxRunning = fields.int("maxRunning", in: 0...100_000)
        let rate = fields.nested("rate") { fields -> JobRate? in
            let count = fields.int("count", in: 0...1_000_000)
            let seconds = fields.int("seconds", in: 1...86_400)
            for (name, value) in [("count", count), ("seconds", seconds)] where value == nil && !fields.has(name) {
                fields.refuse(name, .required, "is required")
            }
            return count.flatMap { count in seconds.map { JobRate(count: count, per: $0) } }
        }
        try fields.check()
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            let limit = try await limits.set(
                scope, name, maxRunning: maxRunning, rate: rate ?? nil, by: call.actor, force: force, in: transaction)
            return Change(resource: try Report(LimitAnswer(scope: scope, name: name, limit: limit)), job: nil)
        }
    }
}

/// The answer to a change of a limit; without a limit there is none.
private struct LimitAnswer: Encodable {
    let scope: JobLimitScope
    let name: String
    let limit: JobLimit?
}
