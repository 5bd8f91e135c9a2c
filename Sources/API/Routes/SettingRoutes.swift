import Foundation
import Hummingbird
import Jobs
import Shared

/// What administrators set while the system runs: limits of keys and of new users, and how money is shown.
struct SettingRoutes: RouteGroup {
    let database: PostgresClient
    let changes: Changes
    /// What new users may spend where nothing is set.
    let configuredLimits: SpendingLimits
    private let settings = PostgresSettingStore()
    private let audit = PostgresAuditStore()

    init(database: PostgresClient, changes: Changes, configuredLimits: SpendingLimits) {
        self.database = database
        self.changes = changes
        self.configuredLimits = configuredLimits
    }

    var routes: [Route] {
        [
            .permitted(.adminUsers, .get, "/api/v1/admin/settings/api-key-defaults", keyDefaults),
            .permitted(.adminSystem, .put, "/api/v1/admin/settings/api-key-defaults", setKeyDefaults),
            .permitted(.adminUsers, .get, "/api/v1/admin/settings/user-defaults", userDefaults),
            .permitted(.adminSystem, .put, "/api/v1/admin/settings/user-defaults", setUserDefaults),
            .permitted(.adminUsers, .get, "/api/v1/admin/settings/currency", currency),
            .permitted(.adminSystem, .put, "/api/v1/admin/settings/currency", setCurrency),
            .permitted(.adminUsers, .get, "/api/v1/admin/settings/currency/supported") { _ in supportedCurrencies() },
            .permitted(.adminUsers, .get, "/api/v1/admin/settings/admin-analytics", analytics),
            .permitted(.adminSystem, .put, "/api/v1/admin/settings/admin-analytics", setAnalytics),
        ]
    }

    // MARK: Keys

    private func keyDefaults(_ call: AuthenticatedCall) async throws -> Response {
        .json(APIKeyDefaultsView(settings: try await settings.get(in: database) ?? APIKeyDefaults()))
    }

    private func setKeyDefaults(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        var wanted = APIKeyDefaults()
        for part in ["defaults", "maximums"] where !fields.has(part) {
            fields.refuse(part, .required, "is required")
        }
        if let defaults = fields.nested("defaults", APIKeyDefaults.Defaults.init) { wanted.defaults = defaults }
        if let maximums = fields.nested("maximums", APIKeyDefaults.Maximums.init) { wanted.maximums = maximums }
        for violation in wanted.contradictions { fields.refuse(violation.field, .invalid, violation.message) }
        try fields.check()
        return try await set(wanted, call, body, action: "UPDATE_API_KEY_DEFAULTS") { APIKeyDefaultsView(settings: $0) }
    }

    // MARK: New users

    private func userDefaults(_ call: AuthenticatedCall) async throws -> Response {
        let limits = try await settings.get(NewUserLimits.self, in: database) ?? NewUserLimits()
        let configured = NewUserLimits(
            maxBudget: configuredLimits.maxBudget, tpmLimit: configuredLimits.tpmLimit,
            rpmLimit: configuredLimits.rpmLimit)
        return .json(
            Members { json in
                NewUserLimitsView(limits: limits).writeMembers(to: &json)
                json.member("envDefaults") { NewUserLimitsView(limits: configured).writeMembers(to: &$0) }
            })
    }

    private func setUserDefaults(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        let names = ["maxBudget", "tpmLimit", "rpmLimit"]
        guard names.contains(where: { body.members[$0] != nil }) else {
            throw APIError.validation("body", .required, "must name at least one of \(names.joined(separator: ", "))")
        }
        var fields = body.fields
        let wanted = NewUserLimits(
            maxBudget: fields.budget("maxBudget"), tpmLimit: fields.rate("tpmLimit"), rpmLimit: fields.rate("rpmLimit"))
        try fields.check()
        return try await set(wanted, call, body, action: "UPDATE_USER_DEFAULTS") { NewUserLimitsView(limits: $0) }
    }

    // MARK: Currency

    private func currency(_ call: AuthenticatedCall) async throws -> Response {
        .json(CurrencyView(currency: try await settings.currency(in: database)))
    }

    private func supportedCurrencies() -> Response {
        .json(Elements(elements: Currency.supported.map(CurrencyView.init)))
    }

    private func setCurrency(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let code = fields.requiredString("code", length: 3...3).uppercased()
        let known = Currency.supported.first { $0.code == code }
        if code.count == 3, known == nil {
            let codes = Currency.supported.map(\.code).joined(separator: ", ")
            fields.refuse("code", .choice, "must be one of \(codes)")
        }
        let symbol = fields.string("symbol", length: 1...5)
        let name = fields.string("name", length: 1...50)
        try fields.check()
        let wanted = Currency(
            code: code, symbol: symbol ?? known?.symbol ?? code, name: name ?? known?.name ?? code)
        return try await set(wanted, call, body, action: "UPDATE_CURRENCY_SETTINGS") { CurrencyView(currency: $0) }
    }

    // MARK: Usage

    private func analytics(_ call: AuthenticatedCall) async throws -> Response {
        let limits = try await settings.analytics(in: database)
        return .json(Members { AnalyticsLimitsView(limits: limits).writeMembers(to: &$0) })
    }

    /// What the body does not name has its default again.
    private func setAnalytics(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let wanted = AnalyticsLimits(&fields)
        try fields.check()
        return try await set(wanted, call, body, action: "UPDATE_ADMIN_ANALYTICS") { AnalyticsLimitsView(limits: $0) }
    }

    // MARK: Storing

    /// Stores a setting, with what it was before in the audit log.
    private func set<Setting: StoredSetting>(
        _ wanted: Setting, _ call: AuthenticatedCall, _ body: JSONBody, action: String,
        view: @escaping @Sendable (Setting) -> any ResourceBody
    ) async throws -> Response {
        try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            let before = try await settings.put(wanted, by: call.actor.name, in: transaction)
            try await audit.append(
                AuditEntry(
                    actor: call.actor, action: action, resourceType: "SETTINGS", resourceId: Setting.key,
                    oldValues: try before?.document, newValues: try wanted.document),
                in: transaction)
            return Change(resource: view(wanted), job: nil)
        }
    }
}

extension PostgresSettingStore {
    /// How money is shown.
    func currency(in executor: any PostgresExecutor) async throws -> Currency {
        try await get(in: executor) ?? .usDollar
    }
}

extension StoredSetting {
    /// As it is stored.
    fileprivate var document: JSONValue {
        get throws { try JSON.decoder.decode(JSONValue.self, from: JSON.encoder.encode(self)) }
    }
}

extension Fields {
    private static let longestLife = 36_500

    fileprivate mutating func days(_ name: String) -> Int? { int(name, in: 1...Self.longestLife) }
}

extension APIKeyDefaults.Defaults {
    fileprivate init(_ fields: inout Fields) {
        self.init()
        maxBudget = fields.budget("maxBudget")
        tpmLimit = fields.rate("tpmLimit")
        rpmLimit = fields.rate("rpmLimit")
        budgetDuration = fields.string("budgetDuration", length: 1...20)
        softBudget = fields.budget("softBudget")
        expirationDays = fields.days("expirationDays")
    }
}

extension APIKeyDefaults.Maximums {
    fileprivate init(_ fields: inout Fields) {
        self.init()
        maxBudget = fields.budget("maxBudget")
        tpmLimit = fields.rate("tpmLimit")
        rpmLimit = fields.rate("rpmLimit")
        expirationDays = fields.days("expirationDays")
    }
}
