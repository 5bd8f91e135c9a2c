import Foundation
import Hummingbird
import Jobs
import Shared

/// Queues, for operators: how they are doing, paused and resumed.
struct AdminQueueRoutes: RouteGroup {
    let queues: QueueAdministration
    let changes: Changes

    var routes: [Route] {
        [
            .permitted(.jobsReadAll, .get, "/api/v1/admin/queues", list),
            .permitted(.jobsReadAll, .get, "/api/v1/admin/queues/{name}", get),
            .permitted(.jobsWrite, .post, "/api/v1/admin/queues/{name}/pause", pause),
            .permitted(.jobsWrite, .post, "/api/v1/admin/queues/{name}/resume", resume),
        ]
    }

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        try .report(ReportList(data: try await queues.queues()))
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        try .report(try await queues.queue(try call.call.parameter("name")))
    }

    private func pause(_ call: AuthenticatedCall) async throws -> Response {
        let name = try call.call.parameter("name")
        let body = try await call.call.body()
        let decision = try body.decision()
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            let report = try await queues.pause(
                name, reason: decision.reason, force: decision.force, by: call.actor, in: transaction)
            return Change(resource: try Report(report), job: nil)
        }
    }

    private func resume(_ call: AuthenticatedCall) async throws -> Response {
        let name = try call.call.parameter("name")
        let body = try await call.call.body()
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            Change(resource: try Report(try await queues.resume(name, by: call.actor, in: transaction)), job: nil)
        }
    }
}

/// Circuit breakers, for operators: who or what changed them and why, held open or closed, left to themselves again.
struct AdminBreakerRoutes: RouteGroup {
    let breakers: BreakerAdministration
    let changes: Changes

    var routes: [Route] {
        [
            .permitted(.jobsReadAll, .get, "/api/v1/admin/breakers", list),
            .permitted(.jobsReadAll, .get, "/api/v1/admin/breakers/{name}", get),
            .permitted(.jobsWrite, .post, "/api/v1/admin/breakers/{name}/force", force),
            .permitted(.jobsWrite, .post, "/api/v1/admin/breakers/{name}/reset", reset),
        ]
    }

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        try .report(ReportList(data: try await breakers.breakers()))
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        try .report(try await breakers.breaker(try call.call.parameter("name")))
    }

    private func force(_ call: AuthenticatedCall) async throws -> Response {
        let name = try call.call.parameter("name")
        let body = try await call.call.body()
        var fields = body.fields
        let text = fields.requiredString("state", length: 1...10)
        let state = BreakerAdministration.Force(rawValue: text)
        if state == nil, !text.isEmpty { fields.refuse("state", .choice, "must be open or closed") }
        let reason = fields.requiredString("reason", length: 1...500)
        try fields.check()
        let wanted = state ?? .open
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            let report = try await breakers.force(name, wanted, reason: reason, by: call.actor, in: transaction)
            return Change(resource: try Report(report), job: nil)
        }
    }

    private func reset(_ call: AuthenticatedCall) async throws -> Response {
        let name = try call.call.parameter("name")
        let body = try await call.call.body()
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            Change(resource: try Report(try await breakers.reset(name, by: call.actor, in: transaction)), job: nil)
        }
    }
}

/// Worker processes, for operators: what runs where and for how long; drained one by one.
struct AdminWorkerRoutes: RouteGroup {
    let workers: WorkerAdministration
    let changes: Changes

    var routes: [Route] {
        [
            .permitted(.jobsReadAll, .get, "/api/v1/admin/workers", list),
            .permitted(.jobsReadAll, .get, "/api/v1/admin/workers/{id}", get),
            .permitted(.jobsWrite, .post, "/api/v1/admin/workers/{id}/drain", drain),
            .permitted(.jobsWrite, .post, "/api/v1/admin/workers/{id}/resume", resume),
        ]
    }

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let ended = query.bool("ended") ?? false
        try query.check()
        return try .report(ReportList(data: try await workers.workers(ended: ended)))
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        try .report(try await workers.worker(try id(call)))
    }

    private func drain(_ call: AuthenticatedCall) async throws -> Response {
        let id = try id(call)
        let body = try await call.call.body()
        let decision = try body.decision()
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            let report = try await workers.drain(id, reason: decision.reason, by: call.actor, in: transaction)
            return Change(resource: try Report(report), job: nil)
        }
    }

    private func resume(_ call: AuthenticatedCall) async throws -> Response {
        let id = try id(call)
        let body = try await call.call.body()
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            Change(resource: try Report(try await workers.resume(id, by: call.actor, in: transaction)), job: nil)
        }
    }

    private func id(_ call: AuthenticatedCall) throws -> Int32 {
        guard let id = Int32(try call.call.parameter("id")), id > 0 else {
            throw APIError.validation("id", .format, "must be the number of a worker")
        }
        return id
    }
}
