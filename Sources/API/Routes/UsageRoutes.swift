import Foundation
import Hummingbird
import Jobs
import Shared

/// What was used, from our own daily tables.
struct UsageRoutes: RouteGroup {
    let database: PostgresClient
    let collection: UsageCollection
    let changes: Changes
    private let usage = PostgresUsageStore()
    private let audit = PostgresAuditStore()

    init(database: PostgresClient, collection: UsageCollection, changes: Changes) {
        self.database = database
        self.collection = collection
        self.changes = changes
    }

    var routes: [Route] {
        [
            .permitted(.usageRead, .get, "/api/v1/usage/summary", summary),
            .permitted(.usageWrite, .post, "/api/v1/admin/usage/refresh-today", refresh),
        ]
    }

    private func summary(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let interval = query.interval("granularity")
        let (range, filter) = try await UsageScope(database: database).all(call, &query)
        let summary = try await usage.consistently(in: database) { try await usage.summary(filter, in: $0) }
        return .json(UsageSummaryView(range: range, interval: interval, summary: summary))
    }

    private func refresh(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let today = UTCDay(containing: Date())
        var day = today
        if let text = fields.string("date", length: 1...10) {
            if let parsed = UTCDay(text), parsed <= today, parsed >= DateRange.earliest {
                day = parsed
            } else {
                fields.refuse("date", .format, "must be a day such as \(today), not in the future")
            }
        }
        try fields.check()
        let wanted = day
        let outcome = Changes.Outcome(reload: { job in
            UsageRefreshView(day: wanted, refreshedAt: job.finishedAt)
        })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let job = try await collection.request(wanted, requester: call.requester, in: transaction)
            try await audit.append(
                AuditEntry(
                    actor: call.actor, action: "USAGE_REFRESH", resourceType: "usage_day",
                    resourceId: wanted.description, jobId: job.id),
                in: transaction)
            return Change(
                resource: UsageRefreshView(day: wanted, refreshedAt: nil),
                job: JobView(
                    job, UsageFetchDay.self, resource: JobResource(type: "usage_day", id: wanted.description),
                    at: Date()))
        }
    }
}
