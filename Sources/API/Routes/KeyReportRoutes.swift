import Foundation
import Hummingbird
import Jobs
import Shared

/// What can be said about API keys: statistics, use, models, whether a secret is valid.
struct KeyReportRoutes: RouteGroup {
    let database: PostgresClient
    private let visible: VisibleKeys
    private let keys = PostgresAPIKeyStore()
    private let models = PostgresModelStore()
    private let usage = PostgresUsageStore()
    private let users = PostgresUserStore()

    init(database: PostgresClient) {
        self.database = database
        visible = VisibleKeys(database: database)
    }

    var routes: [Route] {
        [
            .permitted(.apiKeysRead, .get, "/api/v1/api-keys/stats", statistics),
            .permitted(.apiKeysRead, .get, "/api/v1/api-keys/{id}/usage", use),
            .permitted(.apiKeysRead, .get, "/api/v1/api-keys/{id}/models", modelsOfKey),
            .permitted(.adminAPIKeys, .post, "/api/v1/api-keys/validate", validate),
        ]
    }

    private func statistics(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let userId = query.uuid("userId")
        try query.check()
        let owner = try call.principal.owner(asked: userId, others: .usersRead, programs: .apiKeysRead)
        let found = try await keys.statistics(ofUser: owner, in: database)
        return .json(
            Members { json in
                json.member("total", found.total)
                json.member("active", found.active)
                json.member("expired", found.expired)
                json.member("revoked", found.revoked)
                json.member("bySubscription") { json in
                    for (id, count) in found.bySubscription.sorted(by: { $0.key.text < $1.key.text }) {
                        json.member(id.text, count)
                    }
                }
                json.member("byModel") { json in
                    for (model, count) in found.byModel.sorted(by: { $0.key < $1.key }) { json.member(model, count) }
                }
            })
    }

    private func use(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let key = try await visible.find(id, for: call.principal, others: .usersRead, programs: .apiKeysRead)
        let today = UTCDay(containing: Date())
        let all = try await usage.totals(ofKey: id, since: nil, in: database)
        let month = try await usage.totals(ofKey: id, since: today.firstOfMonth, in: database)
        return .json(
            Members { json in
                json.member("totalRequests", all.totals.requests)
                json.member("totalTokens", all.totals.totalTokens)
                json.member("totalCost", all.totals.spend)
                json.member("requestsThisMonth", month.totals.requests)
                json.member("tokensThisMonth", month.totals.totalTokens)
                json.member("costThisMonth", month.totals.spend)
                json.member("usageTakenAt", all.takenAt)
                json.member("lastUsedAt", key.lastUsedAt)
                json.member("createdAt", key.createdAt)
            })
    }

    private func modelsOfKey(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let key = try await visible.find(id, for: call.principal, others: .usersRead, programs: .apiKeysRead)
        let known = Dictionary(
            try await models.find(key.modelIds, in: database).map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        let granted = Set(key.grantedModelIds)
        return .json(
            Members { json in
                json.name("models")
                json.array(key.modelIds) { json, id in
                    json.object { json in
                        json.member("id", id)
                        json.member("name", id)
                        json.member("provider", known[id]?.model.provider ?? "unknown")
                        json.member("contextLength", known[id]?.model.contextLength)
                        json.member("isActive", granted.contains(id))
                    }
                }
            })
    }

    /// Only what a gateway needs to decide: the secret itself is neither stored nor written down.
    private func validate(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let text = fields.requiredString("key", length: 1...500)
        try fields.check()
        let hash = APIKeySecret.hash(of: Secret(text))
        let key = try await keys.find(hash: hash, in: database)
        let token = try await keys.token(hash, in: database)
        let owner = if let key { try await users.find(key.userId, in: database) } else { User?.none }
        let reason = Self.reason(key, token, owner, now: Date())
        return .json(
            Members { json in
                json.member("isValid", reason == nil)
                if let reason { json.member("reason", reason) } else { json.nullMember("reason") }
                json.member("keyId", key?.id)
                json.member("userId", key?.userId)
                json.member("subscriptionId", key?.subscriptionId)
                json.member("models", key?.grantedModelIds ?? [])
            })
    }

    /// Why a key is not valid; nil when it is.
    private static func reason(_ key: APIKey?, _ token: APIKeyToken?, _ owner: User?, now: Date) -> String? {
        guard let key else { return "unknown" }
        if key.isDeleted { return "deleted" }
        if !key.isActive { return key.revokeReason == .expired ? "expired" : "revoked" }
        if let expiry = key.expiresAt, expiry <= now { return "expired" }
        guard let token, token.isLive else { return token?.role == .next ? "not_created" : "rotated" }
        if key.neverCreated { return "not_created" }
        if owner?.isActive != true { return "owner_inactive" }
        return key.hasNothingToUse ? "no_models" : nil
    }
}
