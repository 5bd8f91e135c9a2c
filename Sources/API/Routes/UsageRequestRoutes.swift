import Foundation
import Hummingbird
import Shared

/// Single calls to models, where the operator keeps them.
struct UsageRequestRoutes: RouteGroup {
    let database: PostgresClient
    /// `USAGE_REQUEST_LOG`.
    let isKept: Bool
    private let log = PostgresUsageLogStore()

    init(database: PostgresClient, isKept: Bool) {
        self.database = database
        self.isKept = isKept
    }

    var routes: [Route] {
        [
            .permitted(.usageRead, .get, "/api/v1/usage/requests", own),
            .permitted(.adminUsage, .get, "/api/v1/admin/usage/requests", everybody),
        ]
    }

    private func own(_ call: AuthenticatedCall) async throws -> Response {
        let user = try call.principal.requireUser()
        return try await list(call) { _ in user.id }
    }

    private func everybody(_ call: AuthenticatedCall) async throws -> Response {
        try await list(call) { $0.uuid("userId") }
    }

    private func list(
        _ call: AuthenticatedCall, owner: (inout QueryFields) -> UUID?
    ) async throws -> Response {
        guard isKept else {
            throw APIError(
                .notFound, .notFound, "Single requests are not kept here. The operator can set USAGE_REQUEST_LOG=true.")
        }
        var query = try call.call.query()
        var filter = UsageLogFilter()
        filter.userId = owner(&query)
        filter.apiKeyId = query.uuid("apiKeyId")
        filter.modelId = query.string("modelId")
        let statuses = query.choices("status", of: UsageLogEntry.Status.self)
        if statuses.count == 1 { filter.status = statuses[0] }
        filter.from = query.moment("startDate", isEnd: false)
        filter.before = query.moment("endDate", isEnd: true)
        let limit = query.int("limit", in: 1...100) ?? 20
        let text = query.string("cursor", limit: 1000)
        let cursor = text.flatMap(UsageLogCursor.init)
        if text != nil, cursor == nil {
            query.refuse("cursor", .format, "must be the cursor of the page before, unchanged")
        }
        try query.check()
        let page = try await log.page(filter, after: cursor, limit: limit, in: database)
        return .json(
            Members { json in
                json.member("data", page.records.map { UsageRequestView(record: $0) })
                json.member("cursor", page.next?.text)
            })
    }
}

/// One call to a model.
private struct UsageRequestView: JSONRepresentable {
    let record: UsageLogRecord

    func write(to json: inout JSONWriter) {
        let entry = record.entry
        json.object { json in
            json.member("requestId", entry.requestId)
            json.member("startedAt", entry.startedAt)
            json.member("userId", record.userId)
            json.member("username", record.username)
            json.member("apiKeyId", record.apiKeyId)
            json.member("apiKeyName", record.keyName)
            json.member("modelId", entry.modelId)
            json.member("status", entry.status.rawValue)
            json.member("promptTokens", entry.promptTokens)
            json.member("completionTokens", entry.completionTokens)
            json.member("totalTokens", entry.totalTokens)
            json.member("cost", entry.spend)
            json.member("durationMs", entry.durationMs)
        }
    }
}
