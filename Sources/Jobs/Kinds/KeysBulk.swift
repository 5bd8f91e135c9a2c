package import Foundation
import Logging
package import Shared

/// Makes the keys of a batch: people who are not known yet, subscriptions, keys with their sealed secrets, and for each
/// key a child `key.create`. What one chunk's transaction has made, no other attempt makes again.
package struct KeysBulk: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        package var batchId: String
        /// Keys of the batch.
        package var total: Int
        /// That LiteLLM was seen to have.
        package var ready: Int
        /// That were refused, or that LiteLLM does not have.
        package var failed: Int
    }

    package static let name = "keys.bulk"
    package static let timeout: Duration = .seconds(600)
    /// After so long the attempt makes room for others and goes on where it was.
    private static let shift: Duration = .seconds(240)

    /// The batch's row.
    package let batchId: UUID
    /// Keys made in one transaction.
    var chunk: Int?

    package init(batchId: UUID) {
        self.batchId = batchId
    }

    package var orderKey: String? { "batch:\(batchId.text)" }

    package func run(in context: JobContext) async throws -> Output {
        let whole = max(1, chunk ?? 25)
        let started = ContinuousClock.now
        // Left of a chunk of which one cannot be made: each is made by itself.
        var singles = 0
        while true {
            do {
                let size = singles > 0 ? 1 : whole
                guard try await retryingDeadlocks({ try await make(size, context) }) else { break }
                singles = max(0, singles - 1)
            } catch {
                guard let refusal = KeyBatchError(refusal: error) else { throw error }
                if singles > 0 || whole == 1 {
                    try await refuse(refusal, context)
                    singles = max(0, singles - 1)
                } else {
                    singles = whole
                }
            }
            if .now - started > Self.shift {
                throw JobSnooze(for: .milliseconds(10), reason: "It goes on with the keys that are left.")
            }
        }
        guard try await context.children() != nil else { throw JobWaitForChildren(.someMayFail) }
        let store = PostgresKeyBatchStore()
        guard let batch = try await store.find(batchId, in: context.services.database) else {
            throw JobFailure.rowMissing("batch of keys")
        }
        let counts = try await store.counts(of: [batchId], in: context.services.database)[batchId]
        return Output(
            batchId: batchId.text, total: batch.total, ready: counts?[.ready] ?? 0, failed: counts?[.failed] ?? 0)
    }

    // MARK: Making

    /// Makes the next keys. False when none is left.
    private func make(_ size: Int, _ context: JobContext) async throws -> Bool {
        let left = try await context.transaction { transaction -> (batch: KeyBatch, next: Int)? in
            let store = PostgresKeyBatchStore()
            guard let batch = try await store.lock(batchId, in: transaction), batch.cancelledAt == nil else {
                return nil
            }
            let items = try await store.due(of: batchId, limit: size, in: transaction)
            guard let last = items.last else { return nil }
            let maker = KeyBatchMaker(batch: batch, context: context)
            for item in items { try await maker.make(item, in: transaction) }
            return (batch, last.ordinal)
        }
        guard let left else { return false }
        try await context.progress(
            Double(left.next) / Double(max(1, left.batch.total)) * 0.99,
            "\(left.next) of \(left.batch.total) keys are on their way.")
        return true
    }

    private func refuse(_ refusal: KeyBatchError, _ context: JobContext) async throws {
        try await context.transaction { transaction in
            let store = PostgresKeyBatchStore()
            guard try await store.lock(batchId, in: transaction) != nil,
                let item = try await store.due(of: batchId, limit: 1, in: transaction).first
            else { return }
            try await store.noteFailed(item.ordinal, of: batchId, refusal, in: transaction)
        }
    }

    // MARK: Ending

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresKeyBatchStore().giveUp(
            batchId, KeyBatchError(code: end.error.code, message: end.error.message, jobId: end.jobId),
            in: transaction)
        try await end.audit("API_KEYS_BULK_CREATE_FAILED", about: "key_batch", batchId, in: transaction)
    }

    package func retried(jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await PostgresKeyBatchStore().takeUp(batchId, givenUpBy: jobId, in: transaction)
    }
}

/// Makes the keys of a batch in one transaction.
private struct KeyBatchMaker: Sendable {
    let batch: KeyBatch
    let context: JobContext
    private let store = PostgresKeyBatchStore()
    private let provisioning: KeyProvisioning

    init(batch: KeyBatch, context: JobContext) {
        self.batch = batch
        self.context = context
        var provisioning = KeyProvisioning(
            queue: context.services.queue, sealer: context.services.sealer, settings: context.services.settings
        ).inFamily(of: context)
        provisioning.keepsForBatch = true
        self.provisioning = provisioning
    }

    private var actor: AuditActor {
        var actor = context.auditActor
        actor.userId = batch.requestedBy
        actor.name = batch.requesterName
        actor.serviceId = batch.requestedBy == nil ? batch.requester : nil
        return actor
    }

    private var caller: SubscriptionCaller {
        SubscriptionCaller(
            actor: actor, isAdministrator: true, actsForOwners: batch.requestedBy == nil,
            personBehind: batch.personBehind)
    }

    /// Makes a key and notes it; one that LiteLLM never had is brought on its way again.
    func make(_ item: KeyBatchItem, in transaction: PostgresTransaction) async throws {
        if let keyId = item.keyId, let userId = item.userId {
            try await repeatCreation(of: keyId, in: transaction)
            try await store.noteMade(item.ordinal, of: batch.id, keyId: keyId, userId: userId, in: transaction)
            return
        }
        let userId = try await userId(of: item, in: transaction)
        // For oneself there is no decision of another person behind it: then as everybody does.
        let isOwn = caller.concerns(userId)
        if batch.subscribes, !isOwn {
            _ = try await Subscriptions(queue: context.services.queue).assign(
                batch.template.modelIds, to: userId, by: caller, in: transaction)
        }
        var request = KeyCreateRequest(userId: userId, modelIds: batch.template.modelIds, name: item.keyName)
        request.teamId = batch.template.teamId
        request.limits = batch.template.limits
        request.expiresAt = batch.expiresAt
        request.metadata = batch.template.metadata ?? [:]
        request.labels = batch.labels
        request.isSelfService = isOwn
        request.countsTowardsLimit = isOwn
        let created = try await provisioning.create(
            request, action: "ADMIN_CREATE_API_KEY", by: actor, in: transaction)
        try await store.noteMade(item.ordinal, of: batch.id, keyId: created.key.id, userId: userId, in: transaction)
    }

    /// The person, who may have signed in, or been made, since the batch was asked for.
    private func userId(of item: KeyBatchItem, in transaction: PostgresTransaction) async throws -> UUID {
        if let id = item.userId { return id }
        if let user = try await PostgresUserStore().find(email: item.email, in: transaction) { return user.id }
        let new = batch.newcomers.user(username: item.username, email: item.email, fullName: item.fullName)
        return try await UserProvisioning(queue: context.services.queue).create(new, by: actor, in: transaction).user
            .id
    }

    private func repeatCreation(of keyId: UUID, in transaction: PostgresTransaction) async throws {
        let keys = PostgresAPIKeyStore()
        guard var key = try await keys.lock(keyId, in: transaction), key.isActive, key.neverCreated else { return }
        if let end = key.expiresAt, let wanted = batch.expiresAt, end < wanted {
            // The batch was prolonged meanwhile.
            key.expiresAt = wanted
            try await keys.store(key, jobId: nil, in: transaction)
        }
        guard let secret = try await firstSecret(of: keyId, in: transaction) else {
            // Nobody can create it with a secret that is gone.
            _ = try await provisioning.rotate(
                keyId, countsTowardsLimit: caller.concerns(key.userId), by: actor, in: transaction)
            return
        }
        try await provisioning.keepForBatch(secret, in: transaction)
        var options = provisioning.options(keyId, actor)
        if let job = try await UserProvisioning(queue: context.services.queue).ensure(
            key.userId, requester: options.requester, in: transaction)
        {
            options.dependsOn = [job.id]
        }
        let job = try await provisioning.enqueue(KeyCreate(keyId: keyId), options: options, in: transaction)
        try await keys.expectSync(keyId, by: job.id, in: transaction)
    }

    /// The secret that LiteLLM never had; nil when it is not kept, or cannot be opened any more.
    private func firstSecret(of keyId: UUID, in transaction: PostgresTransaction) async throws -> APIKeySecret? {
        let purpose = PostgresSealedSecretStore.Purpose.apiKeyCreate
        let sealed = try await PostgresSealedSecretStore().get(purpose, rowId: keyId.text, in: transaction)
        guard let sealed else { return nil }
        do throws(SealerError) {
            return APIKeySecret(
                try context.services.sealer.open(sealed, purpose: purpose.rawValue, rowId: keyId.text))
        } catch {
            context.logger.warning(
                "the secret of a key cannot be opened; it gets another one",
                metadata: ["key_id": "\(keyId.text)", "error": "\(error.message)"])
            return nil
        }
    }
}

extension KeyBatchError {
    /// Why one key was refused, in words for whoever asked; nil for what says nothing about the key.
    init?(refusal error: any Error) {
        switch error {
        case let error as ProvisioningError: self.init(code: error.code.rawValue, message: error.message)
        case let error as SubscriptionError: self.init(code: "subscription_refused", message: error.message)
        case let error as JobQueueError: self.init(code: "not_enqueued", message: error.description)
        default: return nil
        }
    }
}

/// Others lock rows of people and of keys in an order of their own: of two transactions that meet one is rolled back,
/// and is tried again.
func retryingDeadlocks<Result>(_ body: () async throws -> Result) async throws -> Result {
    for _ in 1...5 {
        do {
            return try await body()
        } catch let error as PostgresError where error.isDeadlock || error.isSerializationFailure {
            try Task.checkCancellation()
        }
    }
    return try await body()
}
