package import Foundation
package import Shared

/// A key that somebody asks for.
package struct KeyCreateRequest: Sendable {
    /// Who will own it.
    package var userId: UUID
    /// The owner's name for it.
    package var name: String?
    /// Public model names; at least one.
    package var modelIds: [String]
    /// The team it is booked to; nil for the default team.
    package var teamId: UUID?
    /// What it may spend.
    package var limits = APIKeyLimits()
    /// When it ends; nil for never.
    package var expiresAt: Date?
    /// The owner's own data.
    package var metadata: JSONValue = [:]
    /// Ours only.
    package var tags: [String] = []
    /// Booleans such as `allowChatCompletions`.
    package var permissions: JSONValue = [:]
    /// The subscription that it is asked for by, as older clients do.
    package var subscriptionId: UUID?
    /// Whether people make it for themselves, and so within what administrators have set for that.
    package var isSelfService = false
    /// Operators' names for what it is part of.
    package var labels: [String] = []
    /// Whether the limit of keys that a person may have holds; not for those that administrators hand out as a batch.
    package var countsTowardsLimit = true

    /// A key without limits in the default team.
    package init(userId: UUID, modelIds: [String], name: String? = nil) {
        self.userId = userId
        self.modelIds = modelIds
        self.name = name
    }
}

/// A key that was asked for.
package struct CreatedKey: Sendable {
    /// The row, listed as active at once.
    package let key: APIKey
    /// Shown to its owner once.
    package let secret: Secret
    /// The models it is for.
    package let models: [Model]
    /// The job that creates it in LiteLLM.
    package let job: EnqueuedJob
}

/// What the API asks for concerning keys: the row, the sealed secret, the job and the audit row in one transaction.
package struct KeyProvisioning: Sendable {
    let queue: JobQueue
    let sealer: Sealer
    let settings: ProvisioningSettings
    let now: @Sendable () -> Date
    private let userProvisioning: UserProvisioning
    private let teamProvisioning: TeamProvisioning
    let keys = PostgresAPIKeyStore()
    let users = PostgresUserStore()
    let teams = PostgresTeamStore()
    let models = PostgresModelStore()
    let secrets = PostgresSealedSecretStore()
    let audit = PostgresAuditStore()
    /// The job whose children its jobs are; nil for jobs that stand alone.
    private var parent: JobContext?
    /// Whether the secrets of new keys are kept for whoever asked for many of them, where the operator allows that.
    var keepsForBatch = false

    /// Uses what the process was started with; `now` is a parameter for tests.
    package init(
        queue: JobQueue, sealer: Sealer, settings: ProvisioningSettings = ProvisioningSettings(),
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.queue = queue
        self.sealer = sealer
        self.settings = settings
        self.now = now
        userProvisioning = UserProvisioning(queue: queue)
        teamProvisioning = TeamProvisioning(queue: queue)
    }

    /// The same, with the jobs of keys as children of one that acts on many of them.
    func inFamily(of parent: JobContext) -> KeyProvisioning {
        var provisioning = self
        provisioning.parent = parent
        return provisioning
    }

    /// Puts a key's job in.
    func enqueue(
        _ job: some JobKind, options: JobOptions, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        guard let parent else { return try await queue.enqueue(job, options: options, in: transaction) }
        return try await parent.addChild(job, options: options, in: transaction)
    }

    // MARK: Create

    /// Stores a new key with its sealed secret and the job that creates it in LiteLLM. That job waits for the user's
    /// and the team's own jobs where these are not in LiteLLM yet.
    ///
    /// - Throws: ``ProvisioningError`` when the request is refused; `SealerError`; `PostgresError`.
    package func create(
        _ request: KeyCreateRequest, action: String = "API_KEY_CREATE", by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> CreatedKey {
        let modelIds = Array(Set(request.modelIds)).sorted()
        let request = request.isSelfService ? try await filled(request, in: transaction) : request
        try validate(request, modelIds)
        let teamId = request.teamId ?? Team.defaultId
        // The lock on the user comes first: two requests at once cannot both take the last free place.
        let answers = try await transaction.pipeline([
            users.lockQuery(request.userId), keys.usableCountQuery(ofUser: request.userId), models.findQuery(modelIds),
            teams.findQuery(teamId, ofUser: request.userId), keys.grantedQuery(modelIds, to: request.userId),
        ])
        guard let user = try answers[0].first.map(PostgresUserStore.user) else {
            throw ProvisioningError(.userNotFound, "There is no such user.", field: "userId")
        }
        guard user.isActive else { throw ProvisioningError(.userInactive, "The user is deactivated.", field: "userId") }
        let held = try PostgresAPIKeyStore.count(answers[1])
        guard !request.countsTowardsLimit || held < settings.maxActiveKeysPerUser else { throw keyLimitReached }
        let known = try answers[2].map(PostgresModelStore.model)
        try check(models: known, asked: modelIds, granted: answers[4].map { try $0.decode(String.self) })
        guard let team = try answers[3].first.map(PostgresTeamStore.team) else {
            throw ProvisioningError(.teamNotFound, "There is no such team, or the user is not in it.", field: "teamId")
        }

        let id = UUID()
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "api_key", id: id.text)
        options.dependsOn = try await dependencies(user, team, actor.requester, in: transaction)
        let job = try await enqueue(KeyCreate(keyId: id), options: options, in: transaction)

        let minted = APIKeySecret.mint()
        var new = NewAPIKey(
            id: id, userId: user.id, teamId: team.id, name: request.name, hash: minted.hash, prefix: minted.prefix,
            alias: APIKeyAlias.make(name: request.name, id: id), modelIds: modelIds, metadata: request.metadata,
            tags: request.tags, permissions: request.permissions, limits: request.limits,
            expiresAt: request.expiresAt, subscriptionId: request.subscriptionId, jobId: job.id)
        new.labels = request.labels
        let sealed = try sealer.seal(
            minted.secret, purpose: PostgresSealedSecretStore.Purpose.apiKeyCreate.rawValue, rowId: id.text)
        try await keepForLater(minted, in: transaction)
        let stored = try await transaction.pipeline([
            keys.insertQuery(new), secrets.putQuery(sealed, for: .apiKeyCreate, rowId: id.text),
            audit.appendQuery(
                AuditEntry(
                    actor: actor, action: action, resourceType: "api_key", resourceId: id.text,
                    newValues: Self.audited(new), jobId: job.id)),
        ])
        return CreatedKey(
            key: try PostgresAPIKeyStore.key(stored[0][0]), secret: minted.secret, models: known, job: job)
    }

    private func dependencies(
        _ user: User, _ team: Team, _ requester: JobRequester, in transaction: PostgresTransaction
    ) async throws -> [Int64] {
        // The user's job waits for the teams' jobs itself.
        if let job = try await userProvisioning.ensure(user, requester: requester, in: transaction) { return [job.id] }
        guard !team.sync.isSynced else { return [] }
        return try await teamProvisioning.ensure(team.id, requester: requester, in: transaction).map { [$0.id] } ?? []
    }

    private func validate(_ request: KeyCreateRequest, _ modelIds: [String]) throws(ProvisioningError) {
        guard !modelIds.isEmpty else {
            throw ProvisioningError(.noModels, "A key needs at least one model.", field: "modelIds")
        }
        if let expiresAt = request.expiresAt, expiresAt <= now() {
            throw ProvisioningError(.expiryInPast, "The time of expiry lies in the past.", field: "expiresAt")
        }
        try request.limits.validate()
    }

    func check(models: [Model], asked: [String], granted: [String]) throws(ProvisioningError) {
        let unknown = Set(asked).subtracting(models.map(\.id)).sorted()
        guard unknown.isEmpty else {
            throw ProvisioningError(
                .unknownModels, "There is no model \(unknown.joined(separator: ", ")).", field: "modelIds",
                values: unknown)
        }
        let gone = models.filter { $0.availability != .available }.map(\.id)
        guard gone.isEmpty else {
            throw ProvisioningError(
                .unavailableModels, "No longer available: \(gone.joined(separator: ", ")).", field: "modelIds",
                values: gone)
        }
        let missing = Set(asked).subtracting(granted).sorted()
        guard missing.isEmpty else {
            throw ProvisioningError(
                .notSubscribed,
                "There is no active subscription for \(missing.joined(separator: ", ")); subscribe first.",
                field: "modelIds", values: missing)
        }
    }

    private static func audited(_ key: NewAPIKey) -> JSONValue {
        var values: [String: JSONValue] = [
            "name": key.name.map(JSONValue.string) ?? .null, "keyPrefix": .string(key.prefix),
            "userId": .string(key.userId.text), "models": .array(key.modelIds.map(JSONValue.string)),
            "alias": .string(key.alias),
        ]
        if !key.labels.isEmpty { values["labels"] = .array(key.labels.map(JSONValue.string)) }
        return .object(values)
    }

    // MARK: Revoke

    /// Refuses a key from now on and stores the job that makes LiteLLM refuse it too. Asking again is harmless: the
    /// job is nil once LiteLLM was seen to refuse the key.
    ///
    /// - Throws: ``ProvisioningError`` `keyNotFound`.
    package func revoke(
        _ id: UUID, reason: RevokeReason, note: String? = nil, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> (key: APIKey, job: EnqueuedJob?) {
        guard let key = try await keys.lock(id, in: transaction) else {
            throw ProvisioningError(.keyNotFound, "There is no such API key.")
        }
        let isFirst = key.revokeRequestedAt == nil
        var job: EnqueuedJob?
        if key.revokedAt == nil {
            var options = JobOptions()
            options.requester = actor.requester
            options.resource = JobResource(type: "api_key", id: id.text)
            // Only the first request puts other work aside: the next one must not stop the first one's job.
            options.supersedes = isFirst
            let enqueued = try await enqueue(KeyRevoke(keyId: id), options: options, in: transaction)
            try await keys.requestRevoke(id, reason: reason, jobId: enqueued.id, in: transaction)
            job = enqueued
        } else if key.revokeReason != reason, reason == .deleted {
            try await keys.setRevokeReason(id, reason, in: transaction)
        }
        if isFirst || (reason == .deleted && !key.isDeleted) {
            try await audit.append(
                AuditEntry(
                    actor: actor, action: reason == .deleted ? "API_KEY_DELETE" : "API_KEY_REVOKE",
                    resourceType: "api_key", resourceId: id.text, oldValues: ["isActive": .bool(key.isActive)],
                    newValues: ["isActive": false], jobId: job?.id,
                    metadata: note.map { ["reason": .string($0)] } ?? [:]),
                in: transaction)
        }
        guard let stored = try await keys.find(id, in: transaction) else { throw JobFailure.rowMissing("API key") }
        return (stored, job)
    }
}

extension APIKeyLimits {
    /// Throws ``ProvisioningError`` `invalidLimit` for what LiteLLM would refuse.
    func validate() throws(ProvisioningError) {
        try spending.validate()
        if let softBudget, softBudget < 0 || softBudget.isNaN {
            throw ProvisioningError(.invalidLimit, "A budget cannot be negative.", field: "softBudget")
        }
        if let maxParallelRequests, maxParallelRequests < 0 {
            throw ProvisioningError(.invalidLimit, "A limit cannot be negative.", field: "maxParallelRequests")
        }
        guard let budgets = litellmModelBudgets else {
            throw ProvisioningError(
                .invalidLimit, "A model's budget is {budgetLimit, timePeriod}.", field: "modelMaxBudget")
        }
        if let name = budgets.first(where: { $0.value.limit < 0 })?.key {
            throw ProvisioningError(
                .invalidLimit, "A budget cannot be negative.", field: "modelMaxBudget", values: [name])
        }
        for (field, limits) in [("modelRpmLimit", modelRpmLimit), ("modelTpmLimit", modelTpmLimit)] {
            guard let counts = APIKeyLimits.counts(limits), counts.values.allSatisfy({ $0 >= 0 }) else {
                throw ProvisioningError(
                    .invalidLimit, "A model's limit is a whole number that is not negative.", field: field)
            }
        }
    }
}
