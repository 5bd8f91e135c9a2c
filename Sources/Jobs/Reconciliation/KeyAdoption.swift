import Foundation
import Shared

/// Takes a key under our care that somebody made in LiteLLM: it gets a row with its hash, its limits and its models as
/// they are. Nobody knows its secret here.
struct KeyAdoption: Sendable {
    /// The refusal of a decision, as the job that was to carry it out reports it.
    private static func refusal(_ message: String) -> JobFailure {
        .conflict(code: "adoption_refused", message: message)
    }

    let decision: KeyAdopt
    let context: JobContext
    private let keys = PostgresAPIKeyStore()

    init(_ decision: KeyAdopt, _ context: JobContext) {
        self.decision = decision
        self.context = context
    }

    /// The key as it is in LiteLLM now.
    func read() async throws -> LiteLLMKey {
        guard let key = try await context.litellm.keyInfo(hash: decision.hash), key.status == .active else {
            throw Self.refusal("LiteLLM does not have this key any more, or refuses it.")
        }
        guard !key.models.isEmpty else {
            throw Self.refusal("This key may use all models, which no key here may. Name its models in LiteLLM first.")
        }
        let lost = Self.ownMetadata(key)
        guard lost.isEmpty || decision.replaceMetadata ?? false else {
            throw Self.refusal(
                "LiteLLM's metadata of this key would be replaced, and LiteLLM may go by it: \(lost.joined(separator: ", "))"
                    + ". Send replaceMetadata: true if that is meant.")
        }
        return key
    }

    /// The members of a key's metadata that our mark takes the place of. LiteLLM keeps the limits by model in there.
    private static func ownMetadata(_ key: LiteLLMKey) -> [String] {
        let kept: Set<String> = ["model_rpm_limit", "model_tpm_limit"]
        return (key.metadata?.objectValue ?? [:]).keys.filter { !kept.contains($0) }.sorted()
    }

    /// Stores the row of a key that was read, and puts in the job that marks it as ours.
    func adopt(_ found: LiteLLMKey, in transaction: PostgresTransaction) async throws -> UUID {
        guard let user = try await PostgresUserStore().lock(decision.userId, in: transaction), user.isActive else {
            throw Self.refusal("There is no such user any more, or they are deactivated.")
        }
        guard try await keys.find(hash: found.hash, in: transaction) == nil else {
            throw Self.refusal("This key has a row here by now.")
        }
        let models = Array(Set(found.models)).sorted()
        let team = try await team(of: found, user, in: transaction)
        try await grant(models, to: user, in: transaction)
        let id = UUID()
        let children = try await context.addChildren(
            [KeyUpdate(keyId: id)], resource: { _ in JobResource(type: "api_key", id: id.text) }, in: transaction)
        guard let job = children.first else { throw JobFailure.rowMissing("job") }
        let new = NewAPIKey(
            id: id, userId: user.id, teamId: team, name: decision.name ?? found.alias, hash: found.hash,
            prefix: String((found.name ?? "sk-...").prefix(7)),
            alias: found.alias ?? APIKeyAlias.make(name: decision.name, id: id), modelIds: models,
            limits: try Self.limits(found), expiresAt: found.expires, jobId: job.id)
        _ = try await transaction.query(keys.insertQuery(new))
        try await keys.markAdopted(id, in: transaction)
        try await PostgresAuditStore().appendOutcome(
            AuditEntry(
                actor: context.auditActor, action: "API_KEY_ADOPTED", resourceType: "api_key", resourceId: id.text,
                newValues: [
                    "userId": .string(user.id.text), "alias": .string(new.alias),
                    "models": .array(models.map(JSONValue.string)),
                    "replacedMetadata": .array(Self.ownMetadata(found).map(JSONValue.string)),
                ], jobId: context.id),
            in: transaction)
        return id
    }

    private func team(
        of found: LiteLLMKey, _ user: User, in transaction: PostgresTransaction
    ) async throws -> UUID? {
        guard let text = found.teamId else { return nil }
        guard let id = UUID(uuidString: text),
            try await !transaction.query(PostgresTeamStore().findQuery(id, ofUser: user.id)).isEmpty
        else {
            throw Self.refusal(
                "The key belongs to LiteLLM's team \(text), which is no team of this user here. Take it out there.")
        }
        return id
    }

    /// Subscriptions are not invented, unless that is asked for.
    private func grant(_ models: [String], to user: User, in transaction: PostgresTransaction) async throws {
        let known = Set(try await PostgresModelStore().find(models, in: transaction).map(\.id))
        let unknown = models.filter { !known.contains($0) }
        guard unknown.isEmpty else {
            throw Self.refusal(
                "The catalogue does not have \(unknown.joined(separator: ", ")). Synchronise the models first.")
        }
        let granted = Set(try await keys.granted(models, to: user.id, in: transaction))
        let lacking = models.filter { !granted.contains($0) }
        guard !lacking.isEmpty else { return }
        guard decision.subscribe else {
            throw Self.refusal(
                "The user has no active subscription for \(lacking.joined(separator: ", ")): subscribe them, or send "
                    + "subscribe: true.")
        }
        let caller = SubscriptionCaller(actor: context.auditActor, isAdministrator: true)
        for model in lacking {
            do {
                _ = try await Subscriptions(queue: context.services.queue).request(
                    SubscriptionRequest(userId: user.id, modelId: model), by: caller, in: transaction)
            } catch let error as SubscriptionError {
                throw Self.refusal(error.message)
            }
        }
        guard try await keys.granted(lacking, to: user.id, in: transaction).count == lacking.count else {
            throw Self.refusal("A subscription to one of \(lacking.joined(separator: ", ")) needs an approval first.")
        }
    }

    /// LiteLLM's budgets by model, in our form.
    private static func budgets(_ found: LiteLLMKey) throws -> JSONValue? {
        guard let stored = found.modelMaxBudget?.objectValue, !stored.isEmpty else { return nil }
        let limits = APIKeyLimits(
            modelMaxBudget: .object(
                stored.mapValues { budget in
                    var members = ["budgetLimit": budget["budget_limit"] ?? .null]
                    members["timePeriod"] = budget["time_period"]
                    return .object(members)
                }))
        guard limits.litellmModelBudgets != nil else {
            throw Self.refusal("LiteLLM has budgets by model for this key in a form that is not known here.")
        }
        return limits.modelMaxBudget
    }

    private static func limits(_ found: LiteLLMKey) throws -> APIKeyLimits {
        func counts(_ counts: [String: Int]) -> JSONValue? {
            counts.isEmpty ? nil : .object(counts.mapValues(JSONValue.int))
        }
        return APIKeyLimits(
            spending: SpendingLimits(
                maxBudget: found.maxBudget, budgetDuration: found.budgetDuration, tpmLimit: found.tpmLimit,
                rpmLimit: found.rpmLimit),
            softBudget: found.softBudget, maxParallelRequests: found.maxParallelRequests,
            modelMaxBudget: try budgets(found), modelRpmLimit: counts(found.modelRpmLimit),
            modelTpmLimit: counts(found.modelTpmLimit))
    }
}
