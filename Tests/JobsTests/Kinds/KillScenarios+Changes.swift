import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// What happens to keys that are there, and to models.
extension KillScenario {
    static let changesOfKeys: [KillScenario] = [
        KillScenario(KeyUpdate.self, "limits that changed", calls: 3) { real in
            let created = try await real.addLiveKey(try await real.addUser())
            let job = try await real.bench.change(created) { $0.maxBudget = .set(3) }
            return Victim(jobId: try #require(job)) {
                try await real.disagreements(of: created, .active, done: "API_KEY_PROVISIONED")
            }
        },
        KillScenario(KeyRotate.self, "a new secret", calls: 3) { real in
            let created = try await real.addLiveKey(try await real.addUser())
            let rotated = try await real.bench.rotate(created)
            return Victim(jobId: rotated.job.id) {
                try await real.disagreements(of: created, rotatedTo: rotated, old: .active, secrets: 2)
            }
        },
        KillScenario(KeyRetire.self, "the secret before", calls: 3) { real in
            let created = try await real.addLiveKey(try await real.addUser())
            let rotated = try await real.bench.rotate(created)
            try await real.bench.attempt(rotated.job.id)
            try await real.bench.finish(rotated.job.id)
            for table: PostgresQuery in [
                "update api_keys set create_deadline_at = now() - interval '1 hour'",
                "update api_key_hashes set create_deadline_at = now() - interval '1 hour'",
            ] { try await real.bench.database.query(table) }
            return Victim(jobId: try #require(try await real.bench.jobs(KeyRetire.self).first)) {
                try await real.disagreements(of: created, rotatedTo: rotated, old: .deleted, secrets: 1)
            }
        },
        KillScenario(KeyResetSpend.self, "a key that was used", calls: 3) { real in
            let created = try await real.addUsedKey(spend: 6)
            return Victim(jobId: try await real.bench.resetSpend(created)) {
                try await real.disagreements(ofSpend: created, 0)
            }
        },
        KillScenario(KeysSnapshot.self, "the spend of keys", calls: 1) { real in
            let created = try await real.addUsedKey(spend: 4)
            let job = try await real.bench.services.queue.enqueue(KeysSnapshot())
            return Victim(jobId: job.id) { try await real.disagreements(ofSpend: created, 4) }
        },
    ]

    static let models: [KillScenario] = [
        KillScenario(ModelApply.self, "a new model", calls: 2) { real in
            let name = "kill-\(UUID().text)"
            let jobId = try await real.bench.addManaged(KindBench.newModel(name))
            return Victim(jobId: jobId) { try await real.disagreements(ofModel: name, rpm: 10) }
        },
        KillScenario(ModelApply.self, "a model that changed", calls: 2) { real in
            let name = "kill-\(UUID().text)"
            try await real.bench.addSynced(KindBench.newModel(name))
            let job = try await real.bench.changeManaged(name) { $0.parameters.rpm = 77 }
            return Victim(jobId: try #require(job)) { try await real.disagreements(ofModel: name, rpm: 77) }
        },
        KillScenario(ModelApply.self, "a model that nobody wants", calls: 2) { real in
            let name = "kill-\(UUID().text)"
            try await real.bench.addSynced(KindBench.newModel(name))
            let jobId = try await real.bench.deleteManaged(name)
            return Victim(jobId: jobId) { try await real.disagreements(ofModel: name, rpm: nil) }
        },
    ]
}

extension RealBench {
    /// A key that works and has spent so much: LiteLLM takes what is spent with a key that is made.
    func addUsedKey(spend: Decimal) async throws -> CreatedKey {
        let created = try await addKey(try await addUser())
        var spec = try created.key.litellmSpec(intent: created.job.id, now: Date())
        spec.spend = spend
        try await litellm.generateKey(spec, secret: created.secret)
        let verify = try await bench.services.queue.enqueue(KeyVerify(keyId: created.key.id))
        try await bench.finish(created.job.id)
        try await bench.attempt(verify.id)
        try await bench.finish(verify.id)
        return created
    }

    /// - Parameters:
    ///   - old: how the secret before is to be seen.
    ///   - secrets: of the user in LiteLLM.
    func disagreements(
        of created: CreatedKey, rotatedTo rotated: RotatedKey, old: LiteLLMKey.Status, secrets: Int
    ) async throws -> [String] {
        let row = try await bench.row(created)
        let hash = APIKeySecret.hash(of: rotated.secret)
        let new = try await litellm.keyInfo(hash: hash)
        let before = try await litellm.keyInfo(hash: created.key.hash)?.status ?? .deleted
        return Self.wrong([
            "row": row.hash == hash && row.isActive && row.sync.isSynced,
            "new secret": new?.status == .active && new?.models == [model],
            "marker": new?.marker?.id == row.id.text,
            "old secret: \(before.rawValue)": before == old,
            "secrets": try await litellm.listKeys(userId: row.userId.text).totalCount == secrets,
        ])
    }

    func disagreements(ofSpend created: CreatedKey, _ spend: Decimal) async throws -> [String] {
        Self.wrong([
            "LiteLLM": try await litellm.keyInfo(hash: created.key.hash)?.spend == spend,
            "row": try await bench.row(created).currentSpend == spend,
        ])
    }

    /// - Parameter rpm: requests per minute of its one deployment; nil when there is to be none.
    func disagreements(ofModel name: String, rpm: Int?) async throws -> [String] {
        let managed = try await bench.managed(name)
        let listed = try await litellm.models().filter { $0.name == name }
        guard let rpm else {
            let deletedAt = try await bench.model(name)?.deletedAt
            return Self.wrong(["deployments": listed.isEmpty, "row": managed == nil && deletedAt != nil])
        }
        return Self.wrong([
            "deployments: \(listed.count)": listed.count == 1 && listed.first?.id == managed?.deploymentId,
            "limit": listed.first?.rpm == rpm,
            "row": managed?.sync.isSynced == true,
        ])
    }
}
