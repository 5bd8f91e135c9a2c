import Foundation
import Hummingbird
import Shared

/// What the caller used, in the shapes that the front end's pages ask for. Whoever may see everybody's usage names
/// somebody else with `userId`.
struct OwnUsageRoutes: RouteGroup {
    /// Models and keys in a list of the most used, unless asked otherwise, and at most.
    private static let topLimit = (usual: 10, most: 50)
    private static let dashboardDays = 30
    private static let dashboardModels = 5

    let database: PostgresClient
    private let scope: UsageScope
    private let usage = PostgresUsageStore()

    init(database: PostgresClient) {
        self.database = database
        scope = UsageScope(database: database)
    }

    var routes: [Route] {
        [
            .permitted(.usageRead, .get, "/api/v1/usage/metrics", metrics),
            .permitted(.usageRead, .get, "/api/v1/usage/timeseries", series),
            .permitted(.usageRead, .get, "/api/v1/usage/dashboard", dashboard),
            .permitted(.usageRead, .get, "/api/v1/usage/top", top),
            .permitted(.usageRead, .post, "/api/v1/usage/analytics", analytics),
        ]
    }

    private func metrics(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let (range, filter) = try await scope.own(call, &query)
        let summary = try await summary(filter)
        let limits = try await PostgresSettingStore().analytics(in: database)
        return .json(UsageMetricsView(range: range, summary: summary, topModels: limits.topModels))
    }

    private func series(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let interval = query.interval("interval")
        let (range, filter) = try await scope.own(call, &query)
        return .json(UsageSeriesView(range: range, interval: interval, summary: try await summary(filter)))
    }

    private func dashboard(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let userId = query.uuid("userId")
        try query.check()
        let owner = try call.principal.owner(asked: userId, others: .adminUsage, programs: .usageRead)
        let today = UTCDay(containing: Date())
        let recent = today.advanced(by: 1 - Self.dashboardDays)
        let filter = UsageFilter(from: min(recent, today.firstOfMonth), to: today, userId: owner)
        return .json(
            UsageDashboardView(
                today: today, recent: recent, summary: try await summary(filter), topModels: Self.dashboardModels))
    }

    private func top(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let limit = query.int("limit", in: 1...Self.topLimit.most) ?? Self.topLimit.usual
        let (range, filter) = try await scope.own(call, &query)
        guard filter.userIds != nil else {
            throw APIError.validation("userId", .required, "is required for a service token, which has no usage")
        }
        let found = try await usage.consistently(in: database) { transaction in
            try await usage.byUser(filter, UsageOrder(), PageRequest(size: 1), in: transaction)
        }
        return .json(UsageTopView(range: range, found: found, limit: limit))
    }

    private func analytics(_ call: AuthenticatedCall) async throws -> Response {
        let user = try call.principal.requireUser()
        let limits = try await PostgresSettingStore().analytics(in: database)
        let input = try UsageInput(try await call.call.body(), limits: limits)
        let found = try await usage.consistently(in: database) { transaction in
            var filter = input.filter
            filter.userIds = [user.id]
            if let aliases = input.aliases {
                let own = try await usage.keys(aliases: aliases, in: transaction).filter { $0.userId == user.id }
                try Self.check(aliases, own: Set(own.map(\.alias)))
                filter.apiKeyIds = own.map(\.apiKeyId)
            }
            return try await usage.analytics(filter, in: transaction)
        }
        return .json(UsageAnalyticsView(range: input.range, analytics: found, limits: limits, isOwn: true))
    }

    /// 403 for names that are not the caller's keys: whether somebody else's or nobody's is not told.
    private static func check(_ aliases: [String], own: Set<String>) throws(APIError) {
        let problems = aliases.enumerated().filter { !own.contains($0.element) }.map { index, _ in
            FieldProblem(
                field: "apiKeyIds[\(index)]", message: "must be the LiteLLM alias of a key of yours", code: .choice)
        }
        guard !problems.isEmpty else { return }
        throw APIError(
            .forbidden, .forbiddenAPIKeys, "apiKeyIds names API keys that are not yours.",
            details: ErrorDetails(
                field: "apiKeyIds", suggestion: "Leave out the keys named in details.validation.", validation: problems)
        )
    }

    private func summary(_ filter: UsageFilter) async throws -> UsageSummary {
        try await usage.consistently(in: database) { try await usage.summary(filter, in: $0) }
    }
}

/// Whose usage a request with its filter in the query is about.
struct UsageScope: Sendable {
    let database: PostgresClient

    /// The caller's own, or somebody else's for those who may name them.
    func own(_ call: AuthenticatedCall, _ query: inout QueryFields) async throws -> (DateRange, UsageFilter) {
        let userId = query.uuid("userId")
        let owner = try call.principal.owner(asked: userId, others: .adminUsage, programs: .usageRead)
        return try await filter(call, &query, owner: owner, isNamed: userId != nil)
    }

    /// Everybody's for those who may see it and name nobody.
    func all(_ call: AuthenticatedCall, _ query: inout QueryFields) async throws -> (DateRange, UsageFilter) {
        let userId = query.uuid("userId")
        let owner = call.principal.ownerOrEverybody(asked: userId, others: .adminUsage)
        return try await filter(call, &query, owner: owner, isNamed: userId != nil)
    }

    /// A key or a subscription of somebody else does not exist (404). Deleted keys do: they have used something too.
    ///
    /// - Parameter isNamed: whether the owner was asked for by id; else a subscription's owner is meant.
    private func filter(
        _ call: AuthenticatedCall, _ query: inout QueryFields, owner: UUID?, isNamed: Bool
    ) async throws -> (DateRange, UsageFilter) {
        let limits = try await PostgresSettingStore().analytics(in: database)
        let range = try DateRange(&query, today: UTCDay(containing: Date()), longest: limits.maxDays)
        let keyId = query.uuid("apiKeyId")
        let subscriptionId = query.uuid("subscriptionId")
        let modelId = query.string("modelId")
        try query.check()
        var filter = UsageFilter(from: range.start, to: range.end, userId: owner, modelId: modelId, apiKeyId: keyId)
        if let keyId {
            let key = try await PostgresAPIKeyStore().find(keyId, in: database)
            guard let key, call.principal.sees(thingsOf: key.userId, others: .adminUsage, programs: .usageRead) else {
                throw APIError.notFound("API key", id: keyId.text)
            }
        }
        if let subscriptionId {
            let found = try await PostgresSubscriptionStore().find(subscriptionId, in: database)
            guard let found, call.principal.sees(thingsOf: found.userId, others: .adminUsage, programs: .usageRead)
            else {
                throw APIError.notFound("subscription", id: subscriptionId.text)
            }
            filter.userIds = !isNamed || owner == found.userId ? [found.userId] : []
            filter.modelIds = modelId == nil || modelId == found.modelId ? [found.modelId] : []
        }
        return (range, filter)
    }
}
