import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// LiteLLM compared with our rows, and set right.
extension KillScenario {
    static let drift: [KillScenario] = [
        // It looks at every user whom other tests have left behind: a call each.
        KillScenario(ReconcileOrphans.self, "a user who was renamed", calls: 2, deaths: 4) { real in
            let user = try await real.addUser()
            try await real.rename(user)
            let job = try await real.bench.services.queue.enqueue(ReconcileOrphans(scope: [.users]))
            return Victim(jobId: job.id) {
                let walk = try await PostgresDriftStore().walk(ofJob: job.id, in: real.bench.database)
                // A list from which others delete users meanwhile is not believed.
                if let walk, !walk.isComplete, !walk.doubts.isEmpty { return [] }
                let finding = try await real.finding(of: user.id.text)
                return RealBench.wrong(["finding": finding?.field == "fullName" && finding?.state == .open])
            }
        },
        KillScenario(DriftSettle.self, "a user who was renamed", calls: 1) { real in
            let user = try await real.addUser()
            try await real.rename(user)
            let subject = DriftSubject(object: .user, id: user.id.text, kind: .differs)
            try await real.record(DriftObservation(.differs, field: "fullName", litellmId: user.id.text), subject)
            let job = try await real.bench.services.queue.enqueue(DriftSettle(subject: subject, action: .repair))
            return Victim(jobId: job.id) {
                let found = try await real.litellm.user(id: user.id.text)
                let finding = try await real.finding(of: user.id.text)
                return RealBench.wrong([
                    "LiteLLM": found?.alias == user.fullName, "finding": finding?.state == .repaired,
                ])
            }
        },
        KillScenario(OrphanRevoke.self, "a key without a row", calls: 3) { real in
            let hash = try await real.addStranger()
            let job = try await real.bench.services.queue.enqueue(OrphanRevoke(hash: hash))
            return Victim(jobId: job.id) {
                RealBench.wrong(["blocked": try await real.litellm.keyInfo(hash: hash)?.status == .blocked])
            }
        },
        KillScenario(KeyAdopt.self, "a key that nobody made here", calls: 1) { real in
            let user = try await real.addUser()
            let hash = try await real.addStranger()
            try await real.bench.database.subscribe(user.id, to: [real.model])
            let subject = DriftSubject(object: .key, id: hash, kind: .foreign)
            try await real.record(DriftObservation(.foreign, litellmId: hash), subject)
            let job = try await real.bench.services.queue.enqueue(
                KeyAdopt(hash: hash, userId: user.id, name: nil, subscribe: false))
            return Victim(jobId: job.id) {
                let row = try await real.bench.keys.find(hash: hash, in: real.bench.database)
                let found = try await real.litellm.keyInfo(hash: hash)
                return RealBench.wrong([
                    "row": row?.sync.isSynced == true, "owner": found?.userId == user.id.text,
                    "mark": found?.marker?.id == row?.id.text && row != nil,
                ])
            }
        },
    ]
}

extension RealBench {
    /// Renames LiteLLM's user behind our back.
    func rename(_ user: User) async throws {
        var change = LiteLLMUserChange()
        change.alias = "Mallory"
        try await litellm.updateUser(id: user.id.text, change)
    }

    /// A key that somebody made in LiteLLM, by its hash.
    func addStranger() async throws -> String {
        let key = try await foreignCall(
            "/key/generate", ["key_alias": .string("stranger-\(UUID().text)"), "models": [.string(model)]])
        return sha256Hex(try #require(key["key"]?.stringValue))
    }

    /// Writes a finding down, as a walk does.
    func record(_ observation: DriftObservation, _ subject: DriftSubject) async throws {
        try await bench.database.withTransaction { transaction in
            let store = PostgresDriftStore()
            let walk = try await store.begin(
                job: Int64.random(in: 1...Int64.max), dryRun: true, scope: [], policy: [:], in: transaction)
            try await store.record([observation], of: subject.object, subject.id, walk: walk.id, in: transaction)
        }
    }

    /// The newest finding about an object.
    func finding(of objectId: String) async throws -> DriftFinding? {
        var filter = DriftFilter()
        filter.page = PageRequest(number: 1, size: 1000)
        return try await PostgresDriftStore().list(filter, in: bench.database).items.first { $0.objectId == objectId }
    }
}
