import Foundation
import Logging
import Shared

/// The steps of one attempt to bring a secret of a key into LiteLLM: its first one, or one that is rotated in. Every
/// step may be the last one before a crash, so each attempt begins by finding out what earlier ones achieved.
struct KeyCreation: Sendable {
    /// How an attempt ended well.
    enum Result: Sendable {
        /// LiteLLM has the key as the row wants it.
        case verified(warnings: [APIKeyWarning])
        /// Nobody wants the key any more; whoever revoked it sees to LiteLLM.
        case superseded
    }

    /// As LiteLLM is to know it by this secret.
    let key: APIKey
    let context: JobContext
    /// Nil for a key's first secret.
    private let rotation: KeyRotation?
    private let keys = PostgresAPIKeyStore()
    private let secrets = PostgresSealedSecretStore()
    private let audit = PostgresAuditStore()

    /// - Parameter rotation: how the secret is rotated in; nil for a key's first one.
    init(key: APIKey, rotation: KeyRotation? = nil, context: JobContext) {
        self.key = key
        self.rotation = rotation
        self.context = context
    }

    private var purpose: PostgresSealedSecretStore.Purpose { rotation == nil ? .apiKeyCreate : .apiKeyRotate }
    private var secretRow: String { rotation == nil ? key.id.text : key.hash }

    /// Creates the key unless an earlier attempt did, verifies it and notes that.
    func run() async throws -> Result {
        // A deadline says that an attempt before this one came as far as sending the request.
        var found = key.createDeadlineAt == nil ? nil : try await context.litellm.keyInfo(hash: key.hash)
        if found == nil || found?.status == .deleted {
            // Sending a deleted key again makes it live again: right as long as the row, read under its lock, wants it.
            guard try await generate() else { return .superseded }
            found = try await context.litellm.keyInfo(hash: key.hash)
        }
        guard let found else { throw JobFailure.notReadable("API key") }
        return try await settle(found)
    }

    /// Verifies a key that is there and notes it.
    func settle(_ found: LiteLLMKey) async throws -> Result {
        guard let now = try await keys.standing(key.id, in: context.services.database), now.isActive else {
            return .superseded
        }
        // Made blocked, as there was a reason then; `key.access` sees to what is wanted now.
        let isHeld = found.status == .blocked && (now.blockedAt != nil || now.isHeld)
        let key = key.granted(now.grantedModelIds)
        try await verify(key, found, isHeld: isHeld)
        let warnings = key.warnings(about: found)
        guard try await finish(warnings, isHeld: isHeld) else { return .superseded }
        return .verified(warnings: warnings)
    }

    // MARK: Generate

    /// False when the key is no longer wanted.
    private func generate() async throws -> Bool {
        let secret = try await unsealed()
        do {
            return try await send(secret, withModelBudgets: true)
        } catch let error as LiteLLMError where error.code == LiteLLMError.Code.enterpriseOnly {
            guard key.limits.modelMaxBudget != nil else { throw error }
            return try await send(secret, withModelBudgets: false)
        }
    }

    /// False when the key is no longer wanted.
    private func send(_ secret: Secret, withModelBudgets: Bool) async throws -> Bool {
        // Committed before the request leaves: a revocation that comes later knows that a create may be under way.
        let limit = context.litellm.callTimeLimit
        let begun = try await context.transaction { transaction -> (now: Date, standing: APIKeyStanding)? in
            let now =
                rotation == nil
                ? try await keys.beginCreate(key.id, within: limit, in: transaction)
                : try await keys.beginRotation(key.hash, within: limit, in: transaction)
            guard let now, let standing = try await keys.standing(key.id, in: transaction) else { return nil }
            // It is refused from its beginning: whoever finds it blocked later knows why.
            if standing.isHeld { try await context.noteBlocked(key.id, true, in: transaction) }
            return (now, standing)
        }
        guard let begun else { return false }
        var spec = try key.granted(begun.standing.grantedModelIds).litellmSpec(intent: context.id, now: begun.now)
        if begun.standing.isHeld { spec.blocked = true }
        spec.spend = rotation?.spend
        if !withModelBudgets { spec.modelMaxBudget = [:] }
        do {
            try await context.litellm.generateKey(spec, secret: secret)
        } catch let error as LiteLLMError where error.code == LiteLLMError.Code.aliasExists {
            try await resolveAlias()
        } catch let error as LiteLLMError where error.code == LiteLLMError.Code.customKeysDisabled {
            if error.outcomeUnknown { try await removeStranger() }
            throw error
        } catch let error as LiteLLMError where error.outcomeUnknown {
            try await verifyLaterIfLast()
            throw error
        }
        return true
    }

    private func unsealed() async throws -> Secret {
        guard let sealed = try await secrets.get(purpose, rowId: secretRow, in: context.services.database) else {
            throw JobFailure.permanent(
                code: "secret_gone", message: "The key's secret is no longer kept, so it cannot be created; rotate it.")
        }
        do {
            return try context.services.sealer.open(
                sealed, purpose: purpose.rawValue, rowId: secretRow)
        } catch {
            throw JobFailure.permanent(code: "secret_\(error.code.rawValue)", message: error.message)
        }
    }

    /// Our alias is taken: fine if by our own key, which an attempt before this one made.
    private func resolveAlias() async throws {
        let holders = try await context.litellm.listKeys(alias: key.alias).keys.filter { $0.alias == key.alias }
        guard let holder = holders.first(where: { $0.hash == key.hash }) ?? holders.first else {
            throw JobFailure.retryable(
                code: "alias_unclear", message: "LiteLLM says that the key's alias is taken, but shows no key with it.")
        }
        guard holder.hash != key.hash else { return }
        let owner = holder.userId.map { "user \($0)" } ?? "no user"
        let origin =
            holder.marker.map { "made by LiteMaaS for \($0.resource.rawValue) \($0.id)" } ?? "not made by LiteMaaS"
        throw JobFailure.conflict(
            code: "alias_conflict",
            message: "The alias \(key.alias) of key \(key.id.text) (user \(key.userId.text)) belongs in LiteLLM to "
                + "token \(holder.hash.prefix(12))… of \(owner), \(origin).")
    }

    /// LiteLLM ignored the chosen secret and made a key that nobody knows: it must not stay alive.
    private func removeStranger() async throws {
        let holders = try await context.litellm.listKeys(alias: key.alias).keys
        for stranger in holders where key.owns(stranger) && stranger.hash != key.hash {
            _ = try await context.litellm.deleteKey(hash: stranger.hash)
        }
    }

    /// No attempt follows that would look: one delayed job finds out what became of the request.
    private func verifyLaterIfLast() async throws {
        // A rotation that ends without success takes care of its secret itself.
        guard rotation == nil, context.attempt >= context.maxAttempts || Task.isCancelled else { return }
        var options = JobOptions()
        options.delay = context.services.settings.deleteGrace
        options.requester = context.requester
        options.resource = JobResource(type: "api_key", id: key.id.text)
        let later = options
        // In a task of its own, as this one may be cancelled already.
        try await Task {
            _ = try await context.transaction { transaction in
                try await context.services.queue.enqueue(KeyVerify(keyId: key.id), options: later, in: transaction)
            }
        }.value
    }

    // MARK: Verify

    /// Compares LiteLLM's key with the row, sets it right once and compares again.
    private func verify(_ key: APIKey, _ found: LiteLLMKey, isHeld: Bool) async throws {
        try check(found, isHeld: isHeld)
        let differences = key.differences(from: found)
        guard !differences.isEmpty else { return }
        context.logger.warning("LiteLLM's key differs", metadata: ["fields": "\(differences.joined(separator: ","))"])
        let now = try await context.transaction { transaction in
            try await context.expectLateCalls(key.id, in: transaction)
            return try await keys.createWindow(key.id, in: transaction)?.now
        }
        guard let now else { throw JobFailure.rowMissing("API key") }
        let spec = try key.litellmSpec(intent: context.id, now: now)
        try await context.litellm.updateKey(hash: key.hash, key.litellmChange(of: differences, from: spec))
        guard let again = try await context.litellm.keyInfo(hash: key.hash) else {
            throw JobFailure.notReadable("API key")
        }
        try check(again, isHeld: isHeld)
        let remaining = key.differences(from: again)
        guard remaining.isEmpty else { throw JobFailure.notTaken("API key", fields: remaining) }
    }

    private func check(_ found: LiteLLMKey, isHeld: Bool) throws(JobFailure) {
        guard key.owns(found) else {
            let other = found.marker.map { "\($0.resource.rawValue) \($0.id)" } ?? "nothing of LiteMaaS"
            throw .conflict(
                code: "key_conflict",
                message: "LiteLLM has a key with the secret of key \(key.id.text), but it is marked as \(other).")
        }
        switch found.status {
        case .active, .expired: return
        case .deleted:
            throw .retryable(code: "key_deleted", message: "LiteLLM deleted the key while it was being verified.")
        case .blocked:
            guard !isHeld else { return }
            throw .conflict(
                code: "key_blocked", message: "The key is blocked in LiteLLM, although nobody revoked it here.")
        }
    }

    /// Notes that LiteLLM has the key; its secret is kept a little longer for a repeated answer. False when a secret
    /// that was to be rotated in is not wanted any more.
    private func finish(_ warnings: [APIKeyWarning], isHeld: Bool) async throws -> Bool {
        let settings = context.services.settings
        return try await context.transaction { transaction in
            _ = try await keys.lock(key.id, in: transaction)
            if let rotation {
                guard try await rotation.swap(to: key, context, in: transaction) else { return false }
            }
            try await keys.markSynced(
                key.id, version: key.sync.versionWanted, warnings: warnings, jobId: context.id, in: transaction)
            try await secrets.deleteLater(purpose, rowId: secretRow, after: settings.secretRetention, in: transaction)
            // Of a batch: whoever asked has the whole window from now on.
            try await secrets.deleteLater(
                .apiKeyBatch, rowId: key.hash, after: settings.bulkResultsWindow, in: transaction)
            try await audit.appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: rotation == nil ? "API_KEY_PROVISIONED" : "API_KEY_ROTATED",
                    resourceType: "api_key", resourceId: key.id.text,
                    newValues: ["version": .int(Int(key.sync.versionWanted)), "keyPrefix": .string(key.prefix)],
                    jobId: context.id),
                in: transaction)
            let standing = try await keys.standing(key.id, in: transaction)
            if isHeld || standing?.isHeld == true { try await context.ensureAccess(key.id, in: transaction) }
            return true
        }
    }
}

extension APIKey {
    /// The key with what its owner may use now.
    func granted(_ modelIds: [String]) -> APIKey {
        var key = self
        key.grantedModelIds = modelIds
        return key
    }
}
