package import Foundation
package import Shared

/// Makes LiteLLM refuse a key while its owner is deactivated, and take it again afterwards. Goes by what is wanted at
/// the time it runs, reads back what LiteLLM does, and never gives up. Keys that somebody revoked are none of its
/// business.
package struct KeyAccess: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The key's row.
        package var keyId: String
        /// What LiteLLM was seen to do: `blocked`, `unblocked`, `absent` when it does not have the key, or `revoked`
        /// when it does not matter any more.
        package var state: String
    }

    package static let name = "key.access"
    package static let queue = "security"
    package static let upstream: Upstream? = .litellmAdmin
    package static let retry = RetryPolicy.untilDone
    package static let timeout: Duration = .seconds(180)
    /// After revocations, before deletions.
    package static let priority = -900

    /// The key's row.
    package let keyId: UUID
    /// Whether it only looks again, later, for what a call that was held up may have done.
    package let isSecondLook: Bool

    package init(keyId: UUID, isSecondLook: Bool = false) {
        self.keyId = keyId
        self.isSecondLook = isSecondLook
    }

    package var orderKey: String? { "key:\(keyId.text)" }
    package var uniqueKey: String? { "\(Self.name)\(isSecondLook ? ".again" : ""):\(keyId.text)" }

    package func run(in context: JobContext) async throws -> Output {
        let keys = PostgresAPIKeyStore()
        // The owner may change again in between any two steps; each change wins at most a round.
        for _ in 1...4 {
            guard let wanted = try await keys.standing(keyId, in: context.services.database) else {
                throw JobFailure.rowMissing("API key")
            }
            guard wanted.isActive else { return Output(keyId: keyId.text, state: "revoked") }
            let found = try await context.litellm.keyInfo(hash: wanted.hash)
            switch found?.status {
            case .deleted, nil:
                try await lookAgain(onlyIfCreateMayArrive: true, context)
                return Output(keyId: keyId.text, state: "absent")
            case .blocked where !wanted.ownerIsActive, .active where wanted.ownerIsActive,
                .expired where wanted.ownerIsActive:
                guard try await note(isBlocked: !wanted.ownerIsActive, context) else { continue }
                return Output(keyId: keyId.text, state: wanted.ownerIsActive ? "unblocked" : "blocked")
            case .active, .expired:
                try await ignoringAbsence { try await context.litellm.blockKey(hash: wanted.hash) }
            case .blocked:
                guard try await lookAgain(onlyIfCreateMayArrive: false, context) else { continue }
                try await ignoringAbsence { try await context.litellm.unblockKey(hash: wanted.hash) }
            }
        }
        throw JobFailure.retryable(
            code: "access_not_set_yet",
            message: "LiteLLM was told whether to take the key, but does not do as it was told.")
    }

    /// Stores what LiteLLM was seen to do. False when something else is wanted by now.
    private func note(isBlocked: Bool, _ context: JobContext) async throws -> Bool {
        let keys = PostgresAPIKeyStore()
        return try await context.transaction { transaction in
            guard try await keys.lock(keyId, in: transaction) != nil,
                let wanted = try await keys.standing(keyId, in: transaction), wanted.isActive,
                wanted.ownerIsActive != isBlocked
            else { return false }
            try await context.noteBlocked(keyId, isBlocked, in: transaction)
            return true
        }
    }

    /// Before a call leaves that would let the key in, a look is arranged for the time when it can no longer arrive
    /// late, behind a newer block. The same when a create may still arrive that LiteLLM would take as it was sent.
    ///
    /// - Returns: false when the key is not to be let in.
    @discardableResult
    private func lookAgain(onlyIfCreateMayArrive: Bool, _ context: JobContext) async throws -> Bool {
        let keys = PostgresAPIKeyStore()
        let grace = context.services.settings.deleteGrace
        return try await context.transaction { transaction in
            guard try await keys.lock(keyId, in: transaction) != nil,
                let wanted = try await keys.standing(keyId, in: transaction), wanted.isActive
            else { return false }
            guard onlyIfCreateMayArrive || wanted.ownerIsActive else { return false }
            if onlyIfCreateMayArrive {
                let window = try await keys.createWindow(keyId, in: transaction)
                guard window?.lateArrivals(grace: grace) != nil else { return false }
            }
            try await context.ensureAccess(keyId, isSecondLook: true, after: grace, in: transaction)
            return true
        }
    }

    /// Deleted in between: the next round sees what there is now.
    private func ignoringAbsence(_ call: () async throws -> Void) async throws {
        do {
            try await call()
        } catch let error as LiteLLMError where error.code == LiteLLMError.Code.keyNotFound {}
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await end.audit("API_KEY_ACCESS_FAILED", about: "api_key", keyId, in: transaction)
    }
}

extension JobContext {
    /// Stores whether LiteLLM refuses a key for its owner's sake; what is new gets an entry in the audit log.
    func noteBlocked(_ keyId: UUID, _ isBlocked: Bool, in transaction: PostgresTransaction) async throws {
        guard try await PostgresAPIKeyStore().markBlocked(keyId, isBlocked, in: transaction) else { return }
        try await PostgresAuditStore().appendOutcome(
            AuditEntry(
                actor: auditActor, action: isBlocked ? "API_KEY_BLOCKED" : "API_KEY_UNBLOCKED",
                resourceType: "api_key", resourceId: keyId.text, oldValues: ["blocked": .bool(!isBlocked)],
                newValues: ["blocked": .bool(isBlocked)], jobId: id),
            in: transaction)
    }

    /// Puts in the job that makes LiteLLM take or refuse a key as it is wanted then.
    func ensureAccess(
        _ keyId: UUID, isSecondLook: Bool = false, after delay: Duration? = nil, in transaction: PostgresTransaction
    ) async throws {
        var options = JobOptions()
        options.requester = requester
        options.resource = JobResource(type: "api_key", id: keyId.text)
        options.delay = delay
        _ = try await services.queue.enqueue(
            KeyAccess(keyId: keyId, isSecondLook: isSecondLook), options: options, in: transaction)
    }
}
