import Foundation
import Hummingbird
import Jobs
import Shared

/// What people may spend and have spent, and the limits of many of them at once.
struct UserSpendRoutes: RouteGroup {
    /// Users that one request names.
    private static let mostUsers = 1000

    let database: PostgresClient
    let administration: UserAdministration
    let changes: Changes
    private let users = PostgresUserStore()

    init(database: PostgresClient, administration: UserAdministration, changes: Changes) {
        self.database = database
        self.administration = administration
        self.changes = changes
    }

    var routes: [Route] {
        [
            .signedIn(.get, "/api/v1/usage/budget", budget),
            .permitted(.usersWrite, .post, "/api/v1/admin/users/{id}/reset-spend", resetSpend),
            .permitted(.usersWrite, .post, "/api/v1/admin/users/bulk-update-limits", setLimits),
        ]
    }

    private func budget(_ call: AuthenticatedCall) async throws -> Response {
        let user = try call.principal.requireUser()
        let spend = try await users.spend(of: user.id, in: database) ?? StoredSpend()
        return .json(Members { BudgetView(limits: user.limits, spend: spend).writeMembers(to: &$0) })
    }

    private func resetSpend(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let outcome = Changes.Outcome(reload: { job in
            try await users.spend(of: id, in: database).map { UserSpendView(id: id, spend: $0, at: job.finishedAt) }
        })
        return try await changes.perform(call, outcome: outcome) { transaction in
            let job = try await administration.resetSpend(id, by: call.actor, in: transaction)
            return Change(
                resource: UserSpendView(id: id, spend: StoredSpend(), at: nil),
                job: JobView(
                    job, UserResetSpend.self, resource: JobResource(type: "user", id: id.text), at: Date()))
        }
    }

    private func setLimits(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let change = body.limitsChange(&fields)
        let filter = fields.nested("filter", Self.filter) ?? ActiveUserFilter()
        let isDryRun = fields.bool("dryRun") ?? false
        try fields.check()
        guard change != LimitsChange() else {
            throw APIError.validation(
                "body", .required, "must name at least one of maxBudget, tpmLimit, rpmLimit, budgetDuration")
        }
        guard !isDryRun else {
            let count = try await administration.countForLimits(change, of: filter, in: database)
            return .json(Members { BulkLimitsView(count: count, isDryRun: true).writeMembers(to: &$0) })
        }
        let outcome = Changes.Outcome(reload: { BulkLimitsView(result: $0.result) })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let (count, job) = try await administration.setLimits(change, of: filter, by: call.actor, in: transaction)
            return Change(
                resource: BulkLimitsView(count: count),
                job: job.map { JobView($0, UsersBulkLimits.self, resource: nil, at: Date()) })
        }
    }

    private static func filter(_ fields: inout Fields) -> ActiveUserFilter {
        ActiveUserFilter(
            userIds: fields.has("userIds") ? fields.uuids("userIds", count: 1...mostUsers) : nil,
            roles: fields.roles(), search: fields.string("search", length: 1...255))
    }
}

/// What a person may spend, has spent and has left.
struct BudgetView: ResourceBody {
    let limits: SpendingLimits
    let spend: StoredSpend

    func writeMembers(to json: inout JSONWriter) {
        let spent = spend.amount ?? 0
        json.nullable("maxBudget", limits.maxBudget)
        json.member("currentSpend", spent)
        json.nullable("remaining", limits.maxBudget.map { max($0 - spent, 0) })
        json.nullable("budgetDuration", limits.budgetDuration)
        json.nullable("budgetResetAt", spend.budgetResetAt)
        json.nullable("takenAt", spend.takenAt)
    }
}

/// What a user has spent.
struct UserSpendView: ResourceBody {
    let id: UUID
    let spend: StoredSpend
    /// Nil until LiteLLM was seen to have reset it.
    let at: Date?

    func writeMembers(to json: inout JSONWriter) {
        json.member("id", id)
        json.member("currentSpend", spend.amount ?? 0)
        json.member("resetAt", at ?? Date())
    }
}

/// How far a change of many users' limits is: the counts that it begins with, or what its job reports.
struct BulkLimitsView: ResourceBody {
    private let members: [(String, JSONValue)]

    init(count: Int, isDryRun: Bool = false) {
        members = [
            ("totalUsers", .int(count)), ("successCount", 0), ("failedCount", 0), ("errors", []),
            ("processedAt", .string(ISO8601.string(from: Date()))), ("dryRun", .bool(isDryRun)),
        ]
    }

    /// Nil for a job that reports nothing.
    init?(result: JSONValue?) {
        guard let result = result?.objectValue else { return nil }
        let names = ["totalUsers", "successCount", "failedCount", "errors", "processedAt"]
        members = names.compactMap { name in result[name].map { (name, $0) } } + [("dryRun", false)]
    }

    func writeMembers(to json: inout JSONWriter) {
        for (name, value) in members { json.member(name, value) }
    }
}
