import Foundation
import Shared

/// Puts in the object's own job that makes LiteLLM as our row wants it: in its order, with its fence.
struct DriftRepair: Sendable {
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

    /// False when nothing can be done but what a person does. The transaction holds the object's row.
    func begin(_ observations: [DriftObservation], in transaction: PostgresTransaction) async throws -> Bool {
        switch (subject.object, UUID(uuidString: subject.id)) {
        case (.key, let id?): return try await begin(key: id, observations, in: transaction)
        case (.key, nil):
            _ = try await add(
                OrphanRevoke(hash: subject.id), JobResource(type: "litellm_key", id: subject.id), in: transaction)
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
        return true
    }

    private func begin(
        key id: UUID, _ observations: [DriftObservation], in transaction: PostgresTransaction
    ) async throws -> Bool {
        let resource = JobResource(type: "api_key", id: id.text)
        guard let key = try await keys.find(id, in: transaction) else { throw JobFailure.rowMissing("API key") }
        switch subject.kind {
        case .missing:
            guard try await keepsSecret(of: key, in: transaction) else {
                try await keys.markLost(id, error: Self.lost, in: transaction)
                return false
            }
            try await keys.markDrifted(
                id, by: try await add(KeyCreate(keyId: id), resource, in: transaction),
                in: transaction)
        case .differs:
            try await keys.markDrifted(
                id, by: try await add(KeyUpdate(keyId: id), resource, in: transaction),
                in: transaction)
        case .alive:
            let hashes = observations.compactMap(\.litellmId)
            for hash in hashes { try await keys.reopen(hash, of: id, in: transaction) }
            if !key.isActive {
                _ = try await add(KeyRevoke(keyId: id), resource, in: transaction)
            } else {
                for hash in hashes where hash != key.hash {
                    _ = try await add(KeyRetire(keyId: id, hash: hash), resource, in: transaction)
                }
                if hashes.contains(key.hash) { _ = try await add(KeyAccess(keyId: id), resource, in: transaction) }
            }
        case .unknown, .foreign: throw JobFailure.rowMissing("difference")
        }
        return true
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
