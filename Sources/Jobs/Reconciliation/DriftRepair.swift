import Foundation
import Shared

/// Puts in the object's own job that makes LiteLLM as our row wants it: in its order, with its fence. Jobs of the queue
/// security never give up, and go on when nobody waits for them any more: they are no children.
struct DriftRepair: Sendable {
    /// What was put in.
    enum Beginning: Sendable {
        /// Nothing can be done but what a person does.
        case nothing
        case children
        case security(jobId: Int64)
    }

    let subject: DriftSubject
    let context: JobContext
    private let keys = PostgresAPIKeyStore()

    init(subject: DriftSubject, context: JobContext) {
        self.subject = subject
        self.context = context
    }

    /// Whether a repair is possible at all: what has no row here can only be refused, and only keys can be.
    static func isPossible(_ action: ReconcilePolicy.Action, _ object: DriftObject, _ kind: DriftKind) -> Bool {
        switch kind {
        case .missing, .differs, .alive: action == .repair
        case .unknown, .foreign: action == .revoke && object == .key
        }
    }

    /// The transaction holds the object's row.
    func begin(_ observations: [DriftObservation], in transaction: PostgresTransaction) async throws -> Beginning {
        switch (subject.object, UUID(uuidString: subject.id)) {
        case (.key, let id?): return try await begin(key: id, observations, in: transaction)
        case (.key, nil):
            return .security(
                jobId: try await ensure(
                    OrphanRevoke(hash: subject.id), JobResource(type: "litellm_key", id: subject.id), in: transaction))
        case (.user, let id?):
            let job = try await add(
                UserProvision(userId: id), JobResource(type: "user", id: id.text), in: transaction)
            try await PostgresUserStore().markDrifted(id, by: job, in: transaction)
        case (.team, let id?) where subject.kind == .alive:
            _ = try await add(TeamDelete(teamId: id), JobResource(type: "team", id: id.text), in: transaction)
        case (.team, let id?):
            let job = try await add(TeamEnsure(teamId: id), JobResource(type: "team", id: id.text), in: transaction)
            try await PostgresTeamStore().markDrifted(id, by: job, in: transaction)
        case (.model, _):
            let job = try await add(
                ModelApply(modelId: subject.id), JobResource(type: "model", id: subject.id), in: transaction)
            if subject.kind != .alive {
                try await PostgresModelSpecStore().markDrifted(subject.id, by: job, in: transaction)
            }
        default: throw JobFailure.rowMissing(subject.object.rawValue)
        }
        return .children
    }

    private func begin(
        key id: UUID, _ observations: [DriftObservation], in transaction: PostgresTransaction
    ) async throws -> Beginning {
        let resource = JobResource(type: "api_key", id: id.text)
        guard let key = try await keys.find(id, in: transaction) else { throw JobFailure.rowMissing("API key") }
        switch subject.kind {
        case .missing:
            guard try await keepsSecret(of: key, in: transaction) else {
                try await keys.markLost(id, error: Self.lost, in: transaction)
                return .nothing
            }
            try await keys.markDrifted(
                id, by: try await add(KeyCreate(keyId: id), resource, in: transaction),
                in: transaction)
        case .differs:
            try await keys.markDrifted(
                id, by: try await add(KeyUpdate(keyId: id), resource, in: transaction),
                in: transaction)
        case .alive:
            return .security(jobId: try await refuse(key, observations, in: transaction))
        case .unknown, .foreign: throw JobFailure.rowMissing("difference")
        }
        return .children
    }

    /// Has LiteLLM refuse secrets of a key that work and must not. Gives the last job.
    private func refuse(
        _ key: APIKey, _ observations: [DriftObservation], in transaction: PostgresTransaction
    ) async throws -> Int64 {
        let resource = JobResource(type: "api_key", id: key.id.text)
        let hashes = observations.compactMap(\.litellmId)
        for hash in hashes { try await keys.reopen(hash, of: key.id, in: transaction) }
        guard key.isActive else { return try await ensure(KeyRevoke(keyId: key.id), resource, in: transaction) }
        var last: Int64?
        for hash in hashes where hash != key.hash {
            last = try await ensure(KeyRetire(keyId: key.id, hash: hash), resource, in: transaction)
        }
        if hashes.contains(key.hash) { last = try await ensure(KeyAccess(keyId: key.id), resource, in: transaction) }
        guard let last else { throw JobFailure.rowMissing("secret") }
        return last
    }

    private static let lost = SyncError(
        errorClass: "permanent", code: APIKey.lostCode,
        message: "LiteLLM has lost this key, and its secret is no longer kept; rotate it to get one that works.")

    /// Whether the key can be made again: its secret is put where its creation finds it.
    private func keepsSecret(of key: APIKey, in transaction: PostgresTransaction) async throws -> Bool {
        let (secrets, sealer) = (PostgresSealedSecretStore(), context.services.sealer)
        let places: [(PostgresSealedSecretStore.Purpose, String)] = [
            (.apiKeyCreate, key.id.text), (.apiKeyRotate, key.hash), (.apiKeyReveal, key.hash),
        ]
        for (purpose, rowId) in places {
            guard let sealed = try await secrets.get(purpose, rowId: rowId, in: transaction) else { continue }
            let secret = try sealer.open(sealed, purpose: purpose.rawValue, rowId: rowId)
            guard APIKeySecret.hash(of: secret) == key.hash else { continue }
            let creation = PostgresSealedSecretStore.Purpose.apiKeyCreate
            try await secrets.put(
                try sealer.seal(secret, purpose: creation.rawValue, rowId: key.id.text), for: creation,
                rowId: key.id.text, in: transaction)
            return true
        }
        return false
    }

    /// Puts in a job that never gives up, or finds the one that is there.
    private func ensure<Kind: JobKind>(
        _ job: Kind, _ resource: JobResource, in transaction: PostgresTransaction
    ) async throws -> Int64 {
        var options = JobOptions()
        options.requester = context.requester
        options.resource = resource
        return try await context.services.queue.enqueue(job, options: options, in: transaction).id
    }

    private func add<Kind: JobKind>(
        _ job: Kind, _ resource: JobResource, in transaction: PostgresTransaction
    ) async throws -> Int64 {
        guard let child = try await context.addChildren([job], resource: { _ in resource }, in: transaction).first
        else {
            throw JobFailure.rowMissing("job")
        }
        return child.id
    }
}
