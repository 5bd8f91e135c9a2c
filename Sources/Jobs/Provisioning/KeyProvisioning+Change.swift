package import Foundation
package import Shared

/// A key whose secret was changed.
package struct RotatedKey: Sendable {
    /// As it is until LiteLLM has the new secret.
    package let key: APIKey
    /// Shown to its owner once.
    package let secret: Secret
    /// The new secret's first seven characters.
    package let prefix: String
    /// How long the secret before it works once LiteLLM has the new one.
    package let grace: Duration
    /// The job that rotates it in LiteLLM.
    package let job: EnqueuedJob
}

extension KeyProvisioning {
    // MARK: Change

    /// Changes a key. LiteLLM hears of it by a job when it has to; what is so already changes nothing.
    ///
    /// - Parameters:
    ///   - isSelfService: whether its owner asks, and so within what administrators have set for that.
    ///   - countsTowardsLimit: whether the limit of keys that a person may have holds for one that comes back to life.
    /// - Throws: ``ProvisioningError``.
    package func change(
        _ id: UUID, _ change: APIKeyChange, isSelfService: Bool, countsTowardsLimit: Bool = true,
        by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> (key: APIKey, job: EnqueuedJob?) {
        let old = try await lockUsable(id, in: transaction)
        guard !old.neverCreated else {
            throw ProvisioningError(
                .keyUnfinished, "LiteLLM never had this key; retry its job, rotate it or delete it.")
        }
        let wanted = change.applied(to: old)
        try await check(wanted, old, countsTowardsLimit: countsTowardsLimit, in: transaction)
        if isSelfService { try await checkMaximums(wanted, old, in: transaction) }
        guard wanted != old else { return (old, nil) }
        var job: EnqueuedJob?
        if Self.reachesLiteLLM(old, wanted) {
            job = try await enqueue(KeyUpdate(keyId: id), options: options(id, actor), in: transaction)
        }
        try await keys.store(wanted, jobId: job?.id, in: transaction)
        var (before, after) = (Self.audited(old), Self.audited(wanted))
        for (member, value) in before where after[member] == value {
            before[member] = nil
            after[member] = nil
        }
        try await audit.append(
            AuditEntry(
                actor: actor, action: "API_KEY_UPDATE", resourceType: "api_key", resourceId: id.text,
                oldValues: .object(before), newValues: .object(after), jobId: job?.id),
            in: transaction)
        guard let stored = try await keys.find(id, in: transaction) else { throw JobFailure.rowMissing("API key") }
        return (stored, job)
    }

    private func check(
        _ wanted: APIKey, _ old: APIKey, countsTowardsLimit: Bool, in transaction: PostgresTransaction
    ) async throws {
        guard !wanted.modelIds.isEmpty else {
            throw ProvisioningError(.noModels, "A key needs at least one model.", field: "modelIds")
        }
        let added = Set(wanted.modelIds).subtracting(old.modelIds).sorted()
        if !added.isEmpty {
            try check(
                models: try await models.find(added, in: transaction), asked: added,
                granted: try await keys.granted(added, to: old.userId, in: transaction))
        }
        if wanted.limits != old.limits { try wanted.limits.validate() }
        guard wanted.expiresAt != old.expiresAt else { return }
        if let expiresAt = wanted.expiresAt, expiresAt <= now() {
            throw ProvisioningError(.expiryInPast, "The time of expiry lies in the past.", field: "expiresAt")
        }
        guard let expiry = old.expiresAt, expiry <= now() else { return }
        try await checkPlace(for: old, countsTowardsLimit: countsTowardsLimit, in: transaction)
    }

    /// For a key that comes back to life: it takes a place again, and its team has to be its owner's still.
    private func checkPlace(
        for key: APIKey, countsTowardsLimit: Bool, in transaction: PostgresTransaction
    ) async throws {
        if countsTowardsLimit {
            let held = try await keys.usableCount(ofUser: key.userId, in: transaction)
            guard held < settings.maxActiveKeysPerUser else { throw keyLimitReached }
        }
        guard let teamId = key.teamId else { return }
        guard try await !transaction.query(teams.findQuery(teamId, ofUser: key.userId)).isEmpty else {
            throw ProvisioningError(.keyInactive, "The key's team is gone, or its owner is no longer in it.")
        }
    }

    private static func reachesLiteLLM(_ old: APIKey, _ new: APIKey) -> Bool {
        old.modelIds != new.modelIds || old.limits != new.limits || old.expiresAt != new.expiresAt
            || old.metadata != new.metadata || old.permissions != new.permissions
    }

    private static func audited(_ key: APIKey) -> [String: JSONValue] {
        func amount(_ value: Decimal?) -> JSONValue {
            value.map { .double(NSDecimalNumber(decimal: $0).doubleValue) } ?? .null
        }
        let limits = key.limits
        return [
            "name": key.name.map(JSONValue.string) ?? .null,
            "models": .array(key.modelIds.map(JSONValue.string)),
            "expiresAt": key.expiresAt.map { .string(ISO8601.string(from: $0)) } ?? .null,
            "maxBudget": amount(limits.spending.maxBudget), "softBudget": amount(limits.softBudget),
            "budgetDuration": limits.spending.budgetDuration.map(JSONValue.string) ?? .null,
            "tpmLimit": limits.spending.tpmLimit.map(JSONValue.int) ?? .null,
            "rpmLimit": limits.spending.rpmLimit.map(JSONValue.int) ?? .null,
            "maxParallelRequests": limits.maxParallelRequests.map(JSONValue.int) ?? .null,
            "modelMaxBudget": limits.modelMaxBudget ?? .null, "modelRpmLimit": limits.modelRpmLimit ?? .null,
            "modelTpmLimit": limits.modelTpmLimit ?? .null, "permissions": key.permissions,
            "tags": .array(key.tags.map(JSONValue.string)),
        ]
    }

    // MARK: Rotate

    /// Stores a new secret for a key and the job that brings it into LiteLLM; until that has happened the present one
    /// works, and for `grace` afterwards.
    ///
    /// - Parameters:
    ///   - grace: nil for the operator's.
    ///   - countsTowardsLimit: whether the limit of keys that a person may have holds for one that LiteLLM never had.
    /// - Throws: ``ProvisioningError`` `keyNotFound`, `keyInactive`, `keyUnfinished`; `SealerError`.
    package func rotate(
        _ id: UUID, grace: Duration? = nil, countsTowardsLimit: Bool = true, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> RotatedKey {
        let key = try await lockUsable(id, in: transaction)
        if let expiry = key.expiresAt, expiry <= now() {
            throw ProvisioningError(.keyInactive, "The key's time is over; set a new expiresAt before you rotate it.")
        }
        let tokens = try await keys.tokens(of: id, in: transaction)
        guard !key.isBeingCreated, !tokens.contains(where: { $0.role == .next }) else {
            throw ProvisioningError(
                .keyUnfinished, "The key's creation or rotation has not come to its end; try again then.")
        }
        if key.neverCreated {
            try await checkPlace(for: key, countsTowardsLimit: countsTowardsLimit, in: transaction)
        }
        let grace = grace ?? settings.rotationGrace
        let minted = APIKeySecret.mint()
        let number = try await keys.tokenCount(of: id, in: transaction) + 1
        let alias = "\(APIKeyAlias.make(name: key.name, id: id))_\(number)"
        try await keys.insertNext(
            minted.hash, prefix: minted.prefix, alias: alias, of: id, in: transaction)
        let purpose = PostgresSealedSecretStore.Purpose.apiKeyRotate
        let sealed = try sealer.seal(minted.secret, purpose: purpose.rawValue, rowId: minted.hash)
        try await secrets.put(sealed, for: purpose, rowId: minted.hash, in: transaction)
        try await keepForLater(minted, in: transaction)
        let kind = KeyRotate(keyId: id, hash: minted.hash, graceSeconds: Int(grace.inSeconds))
        let job = try await enqueue(kind, options: options(id, actor), in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "API_KEY_ROTATE", resourceType: "api_key", resourceId: id.text,
                oldValues: ["keyPrefix": .string(key.prefix)], newValues: ["keyPrefix": .string(minted.prefix)],
                jobId: job.id, metadata: ["gracePeriodSeconds": .int(Int(grace.inSeconds))]),
            in: transaction)
        return RotatedKey(key: key, secret: minted.secret, prefix: minted.prefix, grace: grace, job: job)
    }

    /// Keeps a secret to be shown again, where the operator allows that.
    func keepForLater(_ minted: APIKeySecret, in transaction: PostgresTransaction) async throws {
        if settings.keepsSecretsForReveal { try await keep(minted, for: .apiKeyReveal, in: transaction) }
        try await keepForBatch(minted, in: transaction)
    }

    /// Keeps a secret for whoever asked for the batch. The window begins once LiteLLM was seen to have the key; should
    /// that not happen within a week, nothing is kept.
    func keepForBatch(_ minted: APIKeySecret, in transaction: PostgresTransaction) async throws {
        guard keepsForBatch, settings.bulkResultsWindow > .zero else { return }
        let bound = settings.bulkResultsWindow + .seconds(7 * 86_400)
        try await keep(
            minted, for: .apiKeyBatch, until: now().addingTimeInterval(bound.inSeconds), in: transaction)
    }

    private func keep(
        _ minted: APIKeySecret, for purpose: PostgresSealedSecretStore.Purpose, until time: Date? = nil,
        in transaction: PostgresTransaction
    ) async throws {
        let sealed = try sealer.seal(minted.secret, purpose: purpose.rawValue, rowId: minted.hash)
        try await secrets.put(sealed, for: purpose, rowId: minted.hash, until: time, in: transaction)
    }

    // MARK: Spend

    /// Stores the job that sets what a key has spent back to zero in LiteLLM.
    ///
    /// - Throws: ``ProvisioningError`` `keyNotFound`, `keyInactive`.
    package func resetSpend(
        _ id: UUID, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> (key: APIKey, job: EnqueuedJob) {
        let key = try await lockUsable(id, in: transaction)
        let job = try await queue.enqueue(KeyResetSpend(keyId: id), options: options(id, actor), in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "API_KEY_SPEND_RESET_REQUESTED", resourceType: "api_key", resourceId: id.text,
                jobId: job.id),
            in: transaction)
        return (key, job)
    }

    /// Stores the job that takes away keys whose time is over.
    package func cleanUpExpired(
        olderThan age: Duration = .zero, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        var options = JobOptions()
        options.requester = actor.requester
        let job = try await queue.enqueue(
            KeysExpire(olderThanSeconds: Int(age.inSeconds)), options: options, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "API_KEYS_CLEANUP", resourceType: "api_key", resourceId: nil, jobId: job.id),
            in: transaction)
        return job
    }

    // MARK: Both

    func options(_ id: UUID, _ actor: AuditActor) -> JobOptions {
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "api_key", id: id.text)
        return options
    }

    /// Locks a key, after its owner, so that limits of how many there are hold.
    private func lockUsable(_ id: UUID, in transaction: PostgresTransaction) async throws -> APIKey {
        guard let seen = try await keys.find(id, in: transaction), !seen.isDeleted,
            try await users.lock(seen.userId, in: transaction) != nil,
            let key = try await keys.lock(id, in: transaction)
        else {
            throw ProvisioningError(.keyNotFound, "There is no such API key.")
        }
        guard key.isActive else {
            throw ProvisioningError(.keyInactive, "The key was revoked; create another one.")
        }
        return key
    }

    var keyLimitReached: ProvisioningError {
        ProvisioningError(
            .keyLimitReached, "A user may have at most \(settings.maxActiveKeysPerUser) active API keys.")
    }
}
