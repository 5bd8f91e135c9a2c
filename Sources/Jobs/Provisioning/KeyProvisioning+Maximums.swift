import Foundation
import Shared

/// What administrators have set for keys that people make for themselves.
extension KeyProvisioning {
    /// The request with the defaults for what it leaves open.
    ///
    /// - Throws: ``ProvisioningError`` `beyondMaximum`.
    func filled(
        _ request: KeyCreateRequest, in transaction: PostgresTransaction
    ) async throws -> KeyCreateRequest {
        guard let defaults = try await PostgresSettingStore().get(APIKeyDefaults.self, in: transaction) else {
            return request
        }
        let time = now()
        let wish = KeyAllowance(
            limits: request.limits.spending, softBudget: request.limits.softBudget, expiresAt: request.expiresAt)
        let filled = defaults.filled(wish, now: time)
        try Self.refuse(defaults.violations(of: filled, now: time))
        var request = request
        request.limits.spending = filled.limits
        request.limits.softBudget = filled.softBudget
        request.expiresAt = filled.expiresAt
        return request
    }

    /// Refuses what a change raises above the maximums; what was above them before may stay, or come down.
    ///
    /// - Throws: ``ProvisioningError`` `beyondMaximum`.
    func checkMaximums(_ wanted: APIKey, _ old: APIKey, in transaction: PostgresTransaction) async throws {
        guard let defaults = try await PostgresSettingStore().get(APIKeyDefaults.self, in: transaction) else { return }
        let time = now()
        let before = defaults.violations(of: Self.allowance(old), now: time)
        try Self.refuse(
            defaults.violations(of: Self.allowance(wanted), now: time).filter { violation in
                !before.contains(violation) || Self.hasChanged(violation.field, wanted, old)
            })
    }

    private static func allowance(_ key: APIKey) -> KeyAllowance {
        KeyAllowance(limits: key.limits.spending, softBudget: key.limits.softBudget, expiresAt: key.expiresAt)
    }

    private static func hasChanged(_ field: String, _ wanted: APIKey, _ old: APIKey) -> Bool {
        switch field {
        case "maxBudget": raised(wanted.limits.spending.maxBudget, old.limits.spending.maxBudget)
        case "tpmLimit": raised(wanted.limits.spending.tpmLimit, old.limits.spending.tpmLimit)
        case "rpmLimit": raised(wanted.limits.spending.rpmLimit, old.limits.spending.rpmLimit)
        default: raised(wanted.expiresAt, old.expiresAt)
        }
    }

    /// No limit is more than any.
    private static func raised<Value: Comparable>(_ new: Value?, _ old: Value?) -> Bool {
        guard let old else { return false }
        guard let new else { return true }
        return new > old
    }

    private static func refuse(_ violations: [SettingViolation]) throws(ProvisioningError) {
        guard let first = violations.first else { return }
        var error = ProvisioningError(
            .beyondMaximum, violations.map { "\($0.field) \($0.message)" }.joined(separator: "; "), field: first.field)
        error.violations = violations
        throw error
    }
}
