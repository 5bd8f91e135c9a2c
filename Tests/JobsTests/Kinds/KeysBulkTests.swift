import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Batches of keys", .needsDatabase, .hangGuard)
struct KeysBulkTests {
    @Test("every person has a key as the template says, people who are not known are made, secrets are kept sealed")
    func made() async throws {
        try await KindBench.run { bench in
            let people = try await bench.addPeople(3)
            var request = bench.batchRequest(people)
            request.template.keyName = "lab-{n}-{username}"
            request.people = .each(
                people.map { KeyBatchRequest.Person(.known($0.id), at: $0.username) }
                    + [KeyBatchRequest.Person(.named(username: "new", email: "new@x.org", fullName: nil), at: "row 5")])
            let (batch, jobId) = try await bench.addBatch(request)
            #expect(try await bench.statuses(batch) == [.waiting, .waiting, .waiting, .waiting])
            try await bench.begin(jobId)
            let output = try await bench.endFamily(jobId, as: KeysBulk.Output.self)
            #expect(output == KeysBulk.Output(batchId: batch.id.text, total: 4, ready: 4, failed: 0))

            let items = try await bench.items(batch)
            #expect(items.map(\.keyName) == ["lab-1-user1", "lab-2-user2", "lab-3-user3", "lab-4-new"])
            let purpose = PostgresSealedSecretStore.Purpose.apiKeyBatch
            for item in items {
                let keyId = try #require(item.keyId)
                let key = try #require(try await bench.keys.find(keyId, in: bench.database))
                #expect(key.labels == ["intro", "ws1"] && key.limits.spending.rpmLimit == 60)
                #expect(key.expiresAt == batch.expiresAt && key.userId == item.userId)
                #expect(bench.litellm.state.keys[key.hash] != nil)
                let sealed = try #require(
                    try await PostgresSealedSecretStore().get(purpose, rowId: key.hash, in: bench.database))
                let secret = try bench.services.sealer.open(sealed, purpose: purpose.rawValue, rowId: key.hash)
                #expect(APIKeySecret.hash(of: secret) == key.hash)
            }
            let until: PostgresQuery = """
                select count(*) from sealed_secrets where purpose = 'api_key.batch'
                    and delete_after between now() + interval '23 hours' and now() + interval '25 hours'
                """
            #expect(try await bench.database.query(until).one(Int.self) == 4)
            #expect(try await bench.users.find(email: "new@x.org", in: bench.database)?.limits.maxBudget == 10)
        }
    }

    @Test("dies between any two chunks: no key is lost, none is made twice")
    func deaths() async throws {
        for death in 0..<4 {
            try await KindBench.run { bench in
                let people = try await bench.addPeople(4)
                let (batch, jobId) = try await bench.addBatch(bench.batchRequest(people), chunk: 1)
                try await bench.dieAfter(death, changing: "key_batch_items")
                await #expect(throws: PostgresError.self) { try await bench.attempt(jobId) }
                #expect(try await bench.jobs(KeyCreate.self).count == death)
                try await bench.begin(jobId)
                let output = try await bench.endFamily(jobId, as: KeysBulk.Output.self)
                #expect(output.ready == 4)
                #expect(try await bench.database.query("select count(*) from api_keys").one(Int.self) == 4)
                #expect(Set(try await bench.items(batch).compactMap(\.keyId)).count == 4)
                #expect(bench.litellm.state.keys.count == 4)
                // One more attempt, as if the end had not been noted.
                #expect(try await bench.batchStore.counts(of: [batch.id], in: bench.database)[batch.id]?[.ready] == 4)
            }
        }
    }

    @Test("what cannot be made fails by itself and says why; when the reason is gone a retry makes it")
    func partial() async throws {
        try await KindBench.run { bench in
            let people = try await bench.addPeople(4)
            var request = bench.batchRequest(people)
            request.subscribes = false
            for person in people where person.username != "user3" { try await bench.subscribe(person, to: "gpt") }
            let (batch, jobId) = try await bench.addBatch(request, chunk: 3)
            try await bench.begin(jobId)
            #expect(try await bench.endFamily(jobId, as: KeysBulk.Output.self).failed == 1)
            let failed = try await bench.items(batch)[2]
            #expect(failed.status == .failed && failed.error?.code == "not_subscribed")
            #expect(failed.error?.message.contains("gpt") == true)

            try await bench.subscribe(people[2], to: "gpt")
            let again = try await bench.database.withTransaction {
                try await bench.retry(batch, in: $0)
            }
            try await bench.begin(again.job.id)
            #expect(try await bench.endFamily(again.job.id, as: KeysBulk.Output.self).ready == 4)
            await #expect(throws: ProvisioningError.self) {
                try await bench.database.withTransaction {
                    _ = try await bench.retry(batch, in: $0)
                }
            }
        }
    }

    @Test("a key whose creation was given up is created with the same secret by a retry")
    func retryOfCreation() async throws {
        try await KindBench.run { bench in
            let people = try await bench.addPeople(2)
            let (batch, jobId) = try await bench.addBatch(bench.batchRequest(people))
            try await bench.begin(jobId)
            let child = try #require(try await bench.jobs(KeyCreate.self).first)
            try await bench.end(child, as: .failed)
            _ = try await bench.endFamily(jobId, as: KeysBulk.Output.self)
            // As long after it as nothing is kept for the batch.
            try await bench.database.query("delete from sealed_secrets where purpose = 'api_key.batch'")
            let end = try #require(batch.expiresAt) + 86_400
            let prolonged = try await bench.database.withTransaction {
                try await bench.batches.extend(batch: batch.id, to: end, by: bench.actor, in: $0).batch
            }
            #expect(abs(try #require(prolonged.expiresAt).timeIntervalSince(end)) < 0.001)
            let before = try await bench.items(batch)
            #expect(before.map(\.status) == [.failed, .ready] && before[0].error?.code == "tired")
            let again = try await bench.database.withTransaction {
                try await bench.retry(batch, in: $0)
            }
            try await bench.begin(again.job.id)
            #expect(try await bench.endFamily(again.job.id, as: KeysBulk.Output.self).ready == 2)
            let after = try await bench.items(batch)
            #expect(after[0].keyId == before[0].keyId && after[0].key?.hash == before[0].key?.hash)
            #expect(after[0].key?.expiresAt == prolonged.expiresAt)
            #expect(bench.litellm.state.keys.count == 2)
            #expect(try await bench.batchStore.keptSecrets(of: batch.id, in: bench.database) == (2, 1))
        }
    }

    @Test("the window of the secrets begins once LiteLLM was seen to have the key")
    func window() async throws {
        try await KindBench.run { bench in
            let people = try await bench.addPeople(1)
            let (batch, jobId) = try await bench.addBatch(bench.batchRequest(people))
            try await bench.begin(jobId)
            let left: PostgresQuery = """
                select round(extract(epoch from delete_after - now()) / 3600)::int from sealed_secrets
                where purpose = 'api_key.batch'
                """

            #expect(try await bench.database.query(left).one(Int.self) == 192)
            #expect(try await bench.batchStore.find(batch.id, in: bench.database)?.resultsUntil == nil)
            #expect(try await bench.batchStore.keptSecrets(of: batch.id, in: bench.database) == (0, 0))
            _ = try await bench.endFamily(jobId, as: KeysBulk.Output.self)
            #expect(try await bench.database.query(left).one(Int.self) == 24)
            #expect(try await bench.batchStore.find(batch.id, in: bench.database)?.resultsUntil != nil)
            #expect(try await bench.batchStore.keptSecrets(of: batch.id, in: bench.database) == (1, 1))
        }
    }

    @Test("cancelled half way: no more are made, and what is there is revoked where that is wanted")
    func cancelled() async throws {
        try await KindBench.run { bench in
            let people = try await bench.addPeople(4)
            let (batch, jobId) = try await bench.addBatch(bench.batchRequest(people), chunk: 1)
            try await bench.dieAfter(2, changing: "key_batch_items")
            await #expect(throws: PostgresError.self) { try await bench.attempt(jobId) }
            let made = try await bench.database.withTransaction {
                try await bench.batches.cancel(batch.id, revoking: true, reason: "moved", by: bench.actor, in: $0)
            }
            #expect(made.batch.cancelledAt != nil)
            let revoke = try #require(made.job).id
            try await bench.begin(revoke)
            #expect(try await bench.statuses(batch) == [.revoking, .revoking, .cancelled, .cancelled])
            let report = try await bench.endFamily(revoke, as: KeyBulkReport.self)
            #expect(report.changed == 2 && report.succeeded == 2)
            #expect(try await bench.statuses(batch) == [.revoked, .revoked, .cancelled, .cancelled])
            let kept: PostgresQuery = "select count(*) from sealed_secrets where purpose = 'api_key.batch'"
            #expect(try await bench.database.query(kept).one(Int.self) == 0)
        }
    }

    @Test("a window of nothing keeps no secret for results")
    func noWindow() async throws {
        var settings = ProvisioningSettings()
        settings.bulkResultsWindow = .zero
        try await KindBench.run(settings: settings) { bench in
            let people = try await bench.addPeople(1)
            let (batch, jobId) = try await bench.addBatch(bench.batchRequest(people))
            try await bench.begin(jobId)
            let kept: PostgresQuery = "select count(*) from sealed_secrets where purpose = 'api_key.batch'"
            #expect(try await bench.database.query(kept).one(Int.self) == 0)
            #expect(try await bench.batchStore.find(batch.id, in: bench.database)?.resultsUntil == nil)
        }
    }

    @Test("an attempt that lost its job makes nothing")
    func fenced() async throws {
        try await KindBench.run { bench in
            let people = try await bench.addPeople(1)
            let (batch, jobId) = try await bench.addBatch(bench.batchRequest(people))
            let context = try await bench.claim(jobId)
            try await bench.database.query("update jobs set token = token + 1 where id = \(jobId)")
            await #expect(throws: JobLeaseLost.self) { _ = try await KeysBulk(batchId: batch.id).run(in: context) }
            #expect(try await bench.statuses(batch) == [.waiting])
            #expect(try await bench.jobs(KeyCreate.self).isEmpty)
        }
    }

    @Test("its job given up, what is left says so; brought back, it is made")
    func givenUp() async throws {
        try await KindBench.run { bench in
            let people = try await bench.addPeople(2)
            let (batch, jobId) = try await bench.addBatch(bench.batchRequest(people))
            try await bench.end(jobId, as: .failed)
            #expect(try await bench.items(batch).map(\.error?.code) == ["tired", "tired"])
            try await bench.services.queue.retry(id: jobId)
            try await bench.begin(jobId)
            #expect(try await bench.endFamily(jobId, as: KeysBulk.Output.self).ready == 2)
        }
    }
}

@Suite("Changes of many keys", .needsDatabase, .hangGuard)
struct KeysBulkChangeTests {
    /// A bench with keys of two batches: `ws1` and `ws2`, both labelled `intro`.
    private func withBatches(
        _ body: @escaping @Sendable (KindBench, _ first: KeyBatch, _ second: KeyBatch) async throws -> Void
    ) async throws {
        try await KindBench.run { bench in
            let people = try await bench.addPeople(4)
            var batches: [KeyBatch] = []
            for (name, users) in [("ws1", people.prefix(3)), ("ws2", people.suffix(1))] {
                var request = bench.batchRequest(Array(users), name: name)
                request.labels = ["intro", name]
                let (batch, jobId) = try await bench.addBatch(request)
                try await bench.begin(jobId)
                _ = try await bench.endFamily(jobId, as: KeysBulk.Output.self)
                batches.append(batch)
            }
            try await body(bench, batches[0], batches[1])
        }
    }

    @Test("labels mean all or any of them; what lasts longer already stays")
    func extend() async throws {
        try await withBatches { bench, first, second in
            let end = try #require(first.expiresAt) + 86_400
            let all = KeySelection(labels: ["intro", "ws1"], match: .all)
            let any = KeySelection(labels: ["nothing", "ws2"], match: .any)
            #expect(try await bench.batches.preview(all, in: bench.database).count == 3)
            #expect(try await bench.batches.preview(any, in: bench.database).count == 1)
            try await bench.database.query(
                "update api_keys set expires_at = null where name = 'lab-3'")
            let job = try await bench.database.withTransaction {
                try await bench.batches.extend(all, to: end, by: bench.actor, in: $0)
            }
            try await bench.begin(job.id)
            let report = try await bench.endFamily(job.id, as: KeyBulkReport.self)
            #expect(report.total == 3 && report.changed == 2 && report.unchanged == 1 && report.succeeded == 2)
            let keys = try await bench.items(first).compactMap(\.key?.expiresAt)
            #expect(keys.allSatisfy { abs($0.timeIntervalSince(end)) < 0.001 } && keys.count == 2)
            #expect(try await bench.items(second)[0].key?.expiresAt == second.expiresAt)
        }
    }

    @Test("dies between any two chunks: every key is revoked, each once")
    func deaths() async throws {
        for death in 0..<4 {
            try await withBatches { bench, first, second in
                let job = try await bench.database.withTransaction {
                    try await bench.batches.revoke(batch: first.id, reason: "over", by: bench.actor, in: $0).job
                }
                try await bench.cut(job.id, 1)
                try await bench.dieAfter(death, changing: "key_bulk_runs")
                await #expect(throws: PostgresError.self) { try await bench.attempt(job.id) }
                #expect(try await bench.jobs(KeyRevoke.self).count == death)
                try await bench.begin(job.id)
                let report = try await bench.endFamily(job.id, as: KeyBulkReport.self)
                #expect(report == KeyBulkReport(total: 3, changed: 3, succeeded: 3))
                #expect(try await bench.statuses(first) == [.revoked, .revoked, .revoked])
                #expect(try await bench.statuses(second) == [.ready])
                let entries: PostgresQuery = "select count(*) from audit_logs where action = 'API_KEY_REVOKE'"
                #expect(try await bench.database.query(entries).one(Int.self) == 3)
            }
        }
    }
}
