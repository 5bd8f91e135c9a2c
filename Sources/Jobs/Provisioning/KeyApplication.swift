import Foundation
import Shared

/// Brings LiteLLM's copies of a key into line with its row: every secret of it that works. Goes by what is wanted at the
/// time of each step, and reads back what LiteLLM does.
struct KeyApplication: Sendable {
    /// How much of the row is applied.
    enum Scope: Sendable {
        /// Whether LiteLLM takes the key, and for which models: what protects others.
        case access
        /// All of it.
        case everything
    }

    /// How an application ended.
    struct Outcome: Sendable {
        enum State: String, Sendable {
            case blocked
            case unblocked
            /// LiteLLM does not have the key.
            case absent
            /// It does not matter any more.
            case revoked
        }

        var state: State
        /// Fields that were changed in LiteLLM, in the API's spelling, sorted.
        var changed: [String] = []
        var warnings: [APIKeyWarning] = []
    }

    let keyId: UUID
    let scope: Scope
    let context: JobContext
    private let keys = PostgresAPIKeyStore()

    init(keyId: UUID, scope: Scope, context: JobContext) {
        self.keyId = keyId
        self.scope = scope
        self.context = context
    }

    /// What is wanted, as it was read in one go.
    private struct Wanted: Sendable {
        var key: APIKey
        var standing: APIKeyStanding
        var tokens: [APIKeyToken]
    }

    /// - Throws: ``JobFailure``, `LiteLLMError`, ``JobLeaseLost``.
    func run() async throws -> Outcome {
        var changed: Set<String> = []
        // The row may change again in between any two steps; each change wins at most a round.
        for _ in 1...4 {
            guard let wanted = try await read() else { throw JobFailure.rowMissing("API key") }
            guard wanted.standing.isActive else { return Outcome(state: .revoked, changed: changed.sorted()) }
            var warnings: [APIKeyWarning] = []
            var remaining: Set<String> = []
            var isAbsent = false
            for token in wanted.tokens where token.isLive {
                let key = wanted.key.known(by: token)
                guard let found = try await settle(key, wanted.standing, &changed) else {
                    isAbsent = isAbsent || token.role == .current
                    continue
                }
                remaining.formUnion(key.differences(from: found))
                if token.role == .current { warnings = key.warnings(about: found) }
            }
            guard !isAbsent else {
                try await lookAgain(isCreateAwaited: true, wanted.standing)
                return Outcome(state: .absent, changed: changed.sorted())
            }
            guard try await note(wanted, warnings, remaining) else { continue }
            return Outcome(
                state: wanted.standing.isHeld ? .blocked : .unblocked, changed: changed.sorted(), warnings: warnings)
        }
        throw JobFailure.retryable(
            code: "access_not_set_yet",
            message: "LiteLLM was told what to do with the key, but does not do as it was told.")
    }

    private func read() async throws -> Wanted? {
        let database = context.services.database
        // The version of the standing is the one that counts: the key, read later, is at least as new.
        guard let standing = try await keys.standing(keyId, in: database),
            let key = try await keys.find(keyId, in: database)
        else { return nil }
        return Wanted(
            key: key.granted(standing.grantedModelIds), standing: standing,
            tokens: try await keys.tokens(of: keyId, in: database))
    }

    // MARK: One secret

    /// Changes what differs until nothing does. Nil when LiteLLM does not have it.
    private func settle(
        _ key: APIKey, _ standing: APIKeyStanding, _ changed: inout Set<String>
    ) async throws -> LiteLLMKey? {
        for _ in 1...4 {
            guard let found = try await context.litellm.keyInfo(hash: key.hash), found.status != .deleted else {
                return nil
            }
            // Whatever its metadata says: only we knew the secret that has this hash.
            let isBlocked = found.status == .blocked
            if standing.isHeld, !isBlocked {
                try await ignoringAbsence { try await context.litellm.blockKey(hash: key.hash) }
                changed.insert("blocked")
                continue
            }
            let fields = fields(of: key, differingFrom: found)
            if !fields.isEmpty {
                // What is let in must not be let in late, behind a newer refusal.
                guard try await lookAgain(isCreateAwaited: false, standing) else { return found }
                try await update(key, found, fields)
                changed.formUnion(fields)
                continue
            }
            if !standing.isHeld, isBlocked {
                guard try await lookAgain(isCreateAwaited: false, standing) else { return found }
                try await ignoringAbsence { try await context.litellm.unblockKey(hash: key.hash) }
                changed.insert("blocked")
                continue
            }
            return found
        }
        throw JobFailure.retryable(
            code: "access_not_set_yet",
            message: "LiteLLM was told what to do with the key, but does not do as it was told.")
    }

    private func fields(of key: APIKey, differingFrom found: LiteLLMKey) -> [String] {
        var fields = key.differences(from: found)
        switch scope {
        case .access: fields = fields.filter { ["models", "permissions", "allowedRoutes"].contains($0) }
        case .everything:
            if !key.owns(found) || (found.marker?.version ?? 0) < key.sync.versionWanted { fields.append("marker") }
        }
        return fields
    }

    private func update(_ key: APIKey, _ found: LiteLLMKey, _ fields: [String]) async throws {
        guard let now = try await keys.createWindow(keyId, in: context.services.database)?.now else {
            throw JobFailure.rowMissing("API key")
        }
        let spec = try key.litellmSpec(intent: context.id, now: now, isKnown: true)
        var change =
            scope == .everything
            ? key.litellmChange(of: found, from: spec) : key.litellmChange(of: fields, from: spec)
        try await ignoringAbsence {
            do {
                try await context.litellm.updateKey(hash: key.hash, change)
            } catch let error as LiteLLMError
                where error.code == LiteLLMError.Code.enterpriseOnly && change.modelMaxBudget != .keep
            {
                change.modelMaxBudget = .keep
                try await context.litellm.updateKey(hash: key.hash, change)
            }
        }
    }

    /// Deleted in between: the next round sees what there is now.
    private func ignoringAbsence(_ call: () async throws -> Void) async throws {
        do {
            try await call()
        } catch let error as LiteLLMError where error.code == LiteLLMError.Code.keyNotFound {}
    }

    // MARK: Notes

    /// Stores what LiteLLM was seen to do. False when something else is wanted by now.
    private func note(
        _ wanted: Wanted, _ warnings: [APIKeyWarning], _ remaining: Set<String>
    ) async throws -> Bool {
        try await context.transaction { transaction in
            guard try await keys.lock(keyId, in: transaction) != nil,
                let now = try await keys.standing(keyId, in: transaction), now.isActive,
                now.isHeld == wanted.standing.isHeld, now.version == wanted.standing.version,
                now.grantedModelIds == wanted.standing.grantedModelIds
            else { return false }
            try await context.noteBlocked(keyId, now.isHeld, in: transaction)
            if remaining.isEmpty {
                try await keys.markSynced(
                    keyId, version: now.version, warnings: warnings, jobId: context.id, in: transaction)
            } else if wanted.key.sync.status != .failed {
                try await context.ensureUpdate(keyId, in: transaction)
            }
            return true
        }
    }

    /// Before a call leaves that lets the key do more, a look is arranged for the time when it can no longer arrive
    /// late, behind a newer refusal. The same when a create may still arrive that LiteLLM would take as it was sent.
    ///
    /// - Returns: false when something else is wanted by now.
    @discardableResult
    private func lookAgain(isCreateAwaited: Bool, _ standing: APIKeyStanding) async throws -> Bool {
        try await context.transaction { transaction in
            guard try await keys.lock(keyId, in: transaction) != nil,
                let now = try await keys.standing(keyId, in: transaction), now.isActive
            else { return false }
            if isCreateAwaited {
                let window = try await keys.createWindow(keyId, in: transaction)
                guard window?.lateArrivals(grace: context.services.settings.deleteGrace) != nil else { return false }
            } else {
                guard now.version == standing.version, now.isHeld == standing.isHeld,
                    now.grantedModelIds == standing.grantedModelIds
                else { return false }
            }
            try await context.expectLateCalls(keyId, in: transaction)
            return true
        }
    }
}
