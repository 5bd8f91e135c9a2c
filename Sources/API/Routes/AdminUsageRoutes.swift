import Foundation
import Hummingbird
import Shared

/// Everybody's usage, for administrators.
struct AdminUsageRoutes: RouteGroup {
    let database: PostgresClient
    private let usage = PostgresUsageStore()

    init(database: PostgresClient) {
        self.database = database
    }

    var routes: [Route] {
        [
            .permitted(.adminUsage, .post, "/api/v1/admin/usage/analytics", analytics),
            .permitted(.adminUsage, .post, "/api/v1/admin/usage/by-user", byUser),
            .permitted(.adminUsage, .post, "/api/v1/admin/usage/by-model", byModel),
            .permitted(.adminUsage, .post, "/api/v1/admin/usage/by-provider", byProvider),
            .permitted(.adminUsage, .get, "/api/v1/admin/usage/filter-options", choices),
            .permitted(.adminUsage, .get, "/api/v1/usage/admin/global", global),
        ]
    }

    private func analytics(_ call: AuthenticatedCall) async throws -> Response {
        let limits = try await PostgresSettingStore().analytics(in: database)
        let input = try UsageInput(try await call.call.body(), limits: limits)
        let found = try await usage.consistently(in: database) { transaction in
            try await usage.analytics(try await filter(input, in: transaction), in: transaction)
        }
        return .json(UsageAnalyticsView(range: input.range, analytics: found, limits: limits))
    }

    private func byUser(_ call: AuthenticatedCall) async throws -> Response {
        let (input, order, page) = try await breakdown(call, name: "username", besides: [])
        let found = try await usage.consistently(in: database) { transaction in
            try await usage.byUser(try await filter(input, in: transaction), order, page, in: transaction)
        }
        return .json(
            UsagePageView(range: input.range, found: found, page: page, unattributed: found.unattributed) {
                $0.write(to: &$1)
            })
    }

    private func byModel(_ call: AuthenticatedCall) async throws -> Response {
        let (input, order, page) = try await breakdown(call, name: "modelName", besides: [.users, .successRate])
        let found = try await usage.consistently(in: database) { transaction in
            try await usage.byModel(try await filter(input, in: transaction), order, page, in: transaction)
        }
        return .json(
            UsagePageView(range: input.range, found: found, page: page) { model, json in
                json.object { json in
                    model.part.writeMembers(to: &json)
                    json.member("metrics") { json in
                        model.totals.writeMetrics(to: &json)
                        json.member("users", model.users)
                    }
                }
            })
    }

    private func byProvider(_ call: AuthenticatedCall) async throws -> Response {
        let (input, order, page) = try await breakdown(
            call, name: "provider", besides: [.users, .models, .successRate])
        let found = try await usage.consistently(in: database) { transaction in
            try await usage.byProvider(try await filter(input, in: transaction), order, page, in: transaction)
        }
        return .json(
            UsagePageView(range: input.range, found: found, page: page) { provider, json in
                json.object { json in
                    json.member("provider", provider.provider)
                    json.member("metrics") { json in
                        provider.totals.writeMetrics(to: &json)
                        json.member("models", provider.models)
                        json.member("users", provider.users)
                    }
                }
            })
    }

    private func choices(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        for name in ["startDate", "endDate"] where query.string(name, limit: 40) == nil {
            query.refuse(name, .required, "is required")
        }
        try query.check()
        let limits = try await PostgresSettingStore().analytics(in: database)
        let range = try DateRange(&query, today: UTCDay(containing: Date()), longest: limits.maxDays)
        let found = try await usage.choices(
            from: range.start, to: range.end, limit: AnalyticsLimits.maxChoices, in: database)
        return .json(UsageChoicesView(choices: found))
    }

    private func global(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let limits = try await PostgresSettingStore().analytics(in: database)
        let range = try DateRange(&query, today: UTCDay(containing: Date()), longest: limits.maxDays)
        try query.check()
        let found = try await usage.consistently(in: database) { transaction in
            try await usage.analytics(UsageFilter(from: range.start, to: range.end), in: transaction)
        }
        return .json(
            Members { json in
                range.writePeriod(to: &json)
                json.member("totals") { json in found.totals.writeMembers(to: &json) }
                json.member("totalUsers", found.registeredUsers)
                json.member("activeUsers", found.activeUsers)
                json.member("activeModels", Set(found.models.map(\.part.id)).count)
                json.member("unattributed") { json in found.unattributed.writeMembers(to: &json) }
                found.freshness.writeMembers(to: &json)
            })
    }

    /// The filter in the body, the order and the page in the query.
    private func breakdown(
        _ call: AuthenticatedCall, name: String, besides: [UsageOrder.Key]
    ) async throws -> (UsageInput, UsageOrder, PageRequest) {
        let limits = try await PostgresSettingStore().analytics(in: database)
        var query = try call.call.query()
        let order = query.order(name: name, besides: besides)
        let page = query.page(maxLimit: limits.pageSizes.largest, defaultLimit: limits.pageSizes.usual)
        try query.check()
        return (try UsageInput(try await call.call.body(), limits: limits), order, page)
    }

    /// A name that no key of ours ever had lets nothing through.
    private func filter(_ input: UsageInput, in executor: any PostgresExecutor) async throws -> UsageFilter {
        var filter = input.filter
        if let aliases = input.aliases {
            filter.apiKeyIds = try await usage.keys(aliases: aliases, in: executor).map(\.apiKeyId)
        }
        return filter
    }
}
