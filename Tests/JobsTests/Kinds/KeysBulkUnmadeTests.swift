import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Keys that are not made when their batch is revoked", .needsDatabase, .hangGuard)
struct KeysBulkUnmadeTests {
    private let labels = KeySelection(labels: ["ws1"], match: .any)

    /// A bench with a batch of four people, of whom two have keys: its worker was killed. Somebody else is there too.
    private func withHalf(
        _ body: @escaping @Sendable (KindBench, KeyBatch, _ jobId: Int64, _ other: User) async throws -> Void
    ) async throws {
        try await KindBench.run { bench in
            let people = try await bench.addPeople(5)
            let (batch, jobId) = try await bench.addBatch(bench.batchRequest(Array(people.prefix(4))), chunk: 1)
            try await bench.dieAfter(2, changing: "key_batch_items")
            await #expect(throws: PostgresError.self) { try await bench.attempt(jobId) }
            #expect(try await bench.items(batch).map { $0.keyId != nil } == [true, true, false, false])
            try await body(bench, batch, jobId, people[4])
        }
    }

    /// A job of the batch that is there in spite of all, as an operator may bring one back.
    private func workAgain(_ batch: KeyBatch, _ bench: KindBench) async throws {
        try await bench.database.query("delete from jobs")
        let job = try await bench.database.withTransaction {
            try await bench.services.queue.enqueue(KeysBulk(batchId: batch.id), in: $0)
        }
        try await bench.begin(job.id)
        #expect(try await bench.jobs(KeyCreate.self).isEmpty)
    }

    @Test("revoked by label: they count, and never come to life; another label's batch goes on")
    func byLabel() async throws {
        try await withHalf { bench, batch, _, person in
            var request = bench.batchRequest([person], name: "other")
            request.labels = ["ws2"]
            let (other, _) = try await bench.addBatch(request)
            let preview = try await bench.batches.preview(labels, in: bench.database)
            #expect(preview.count == 2 && preview.waiting == 2)
            let job = try await bench.database.withTransaction {
                try await bench.batches.revoke(labels, reason: "over", by: bench.actor, in: $0)
            }
            try await bench.begin(job.id)
            #expect(try await bench.statuses(batch) == [.revoking, .revoking, .cancelled, .cancelled])
            try await workAgain(batch, bench)
            #expect(try await bench.statuses(batch) == [.revoking, .revoking, .cancelled, .cancelled])
            #expect(try await bench.batches.preview(labels, in: bench.database).waiting == 0)
            #expect(try await bench.statuses(other) == [.waiting])
            let entries: PostgresQuery = "select resource_id from audit_logs where action = 'API_KEYS_BULK_CANCEL'"
            #expect(try await bench.database.query(entries).map { try $0.decode(String.self) } == [batch.id.text])
        }
    }

    @Test("revoked as a batch: its job is cancelled, and makes nothing when it is brought back")
    func byBatch() async throws {
        try await withHalf { bench, batch, jobId, _ in
            let revoked = try await bench.database.withTransaction {
                try await bench.batches.revoke(batch: batch.id, reason: "over", by: bench.actor, in: $0)
            }
            #expect(revoked.batch.cancelledAt != nil)
            #expect(try await bench.services.queue.job(id: jobId, in: bench.database)?.state == .cancelled)
            try await bench.begin(revoked.job.id)
            #expect(try await bench.statuses(batch) == [.revoking, .revoking, .cancelled, .cancelled])
            try await workAgain(batch, bench)
            #expect(try await bench.statuses(batch) == [.revoking, .revoking, .cancelled, .cancelled])
        }
    }

    @Test("what was given up before stays so, whoever tries again afterwards")
    func givenUp() async throws {
        try await KindBench.run { bench in
            let people = try await bench.addPeople(2)
            let (batch, jobId) = try await bench.addBatch(bench.batchRequest(people))
            try await bench.end(jobId, as: .failed)
            _ = try await bench.database.withTransaction {
                try await bench.batches.revoke(batch: batch.id, reason: nil, by: bench.actor, in: $0)
            }
            let refused = await #expect(throws: ProvisioningError.self) {
                try await bench.database.withTransaction { _ = try await bench.retry(batch, in: $0) }
            }
            #expect(refused?.code == .batchConflict)
            try await bench.services.queue.retry(id: jobId)
            #expect(try await bench.statuses(batch) == [.failed, .failed])
            try await bench.begin(jobId)
            #expect(try await bench.jobs(KeyCreate.self).isEmpty)
            #expect(try await bench.statuses(batch) == [.failed, .failed])
        }
    }

    @Test("a key of a chunk that commits meanwhile is revoked with the others")
    func meanwhile() async throws {
        try await KindBench.run { bench in
            let person = try await bench.addPeople(1)[0]
            try await bench.subscribe(person, to: "gpt")
            let (batch, _) = try await bench.addBatch(bench.batchRequest([person]))
            let revocation = try await bench.database.withTransaction { chunk -> Task<Int64, any Error> in
                _ = try await bench.batchStore.lock(batch.id, in: chunk)
                let revocation = Task.detached {
                    try await bench.database.withTransaction {
                        try await bench.batches.revoke(labels, reason: nil, by: bench.actor, in: $0).id
                    }
                }
                let deadline = ContinuousClock.now + .seconds(30)
                let waiting: PostgresQuery = """
                    select count(*) from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock'
                    """
                while try await bench.database.query(waiting).one(Int.self) == 0 {
                    guard deadline > .now else {
                        Issue.record("the revocation does not wait for the chunk")
                        break
                    }
                    try await Task.sleep(for: .milliseconds(5))
                }
                var request = KeyCreateRequest(userId: person.id, modelIds: ["gpt"], name: "lab-1")
                request.labels = batch.labels
                let key = try await bench.provisioning.create(
                    request, action: "ADMIN_CREATE_API_KEY", by: bench.actor, in: chunk
                ).key
                try await bench.batchStore.noteMade(1, of: batch.id, keyId: key.id, userId: person.id, in: chunk)
                return revocation
            }
            try await bench.begin(try await revocation.value)
            #expect(try await bench.statuses(batch) == [.revoking])
        }
    }
}

@Suite("keys.bulkPurge", .needsDatabase, .hangGuard)
struct KeysBulkPurgeTests {
    private func purge(_ bench: KindBench, days: Int = 30) async throws -> KeysBulkPurge.Output {
        let job = try await bench.services.queue.enqueue(KeysBulkPurge(days: days))
        let output = try #require(try await bench.attempt(job.id) as? KeysBulkPurge.Output)
        try await bench.finish(job.id)
        return output
    }

    private func names(_ bench: KindBench) async throws -> [String] {
        try await bench.database.query("select name from key_batches order by name").map { try $0.decode(String.self) }
    }

    @Test("ended batches past their time go, their keys stay; what is at work or may still be read stays")
    func ended() async throws {
        try await KindBench.run { bench in
            let people = try await bench.addPeople(2)
            func add(_ name: String, made: Bool = true) async throws -> KeyBatch {
                let (batch, jobId) = try await bench.addBatch(bench.batchRequest(people, name: name))
                if made {
                    try await bench.begin(jobId)
                    _ = try await bench.endFamily(jobId, as: KeysBulk.Output.self)
                }
                return batch
            }
            for name in ["ended", "young"] { _ = try await add(name) }
            let revoked = try await add("revoked later")
            _ = try await bench.database.query("delete from sealed_secrets where purpose = 'api_key.batch'")
            _ = try await add("readable")
            _ = try await add("waiting", made: false)
            try await bench.database.query(
                "update key_batches set created_at = now() - interval '31 days' where name <> 'young'")
            try await bench.database.query("delete from jobs")
            let job = try await bench.database.withTransaction {
                try await bench.batches.revoke(batch: revoked.id, reason: nil, by: bench.actor, in: $0).job
            }

            #expect(try await purge(bench).batches == 1)
            #expect(try await names(bench) == ["readable", "revoked later", "waiting", "young"])
            let rows: PostgresQuery = "select count(*) from key_batch_items"
            #expect(try await bench.database.query(rows).one(Int.self) == 8)
            let keys: PostgresQuery = "select count(*) from api_keys where is_active and labels @> '{ws1}'"
            #expect(try await bench.database.query(keys).one(Int.self) == 8)
            #expect(bench.litellm.state.keys.count == 8)

            // Once nobody works at it any more, and nothing can be read, they go too.
            try await bench.begin(job.id)
            #expect(try await purge(bench).batches == 0)
            _ = try await bench.endFamily(job.id, as: KeyBulkReport.self)
            try await bench.database.query("update sealed_secrets set delete_after = now()")
            #expect(try await purge(bench).batches == 2)
            #expect(try await names(bench) == ["waiting", "young"])
        }
    }

    @Test("a batch that somebody changes is left for the next time")
    func locked() async throws {
        try await KindBench.run { bench in
            let (batch, _) = try await bench.addBatch(bench.batchRequest(try await bench.addPeople(1)))
            _ = try await bench.database.withTransaction {
                try await bench.batches.cancel(batch.id, revoking: false, reason: nil, by: bench.actor, in: $0)
            }
            try await bench.database.query("update key_batches set created_at = now() - interval '31 days'")
            try await bench.database.withTransaction {
                _ = try await bench.batchStore.lock(batch.id, in: $0)
                let output = try await Task.detached { try await purge(bench) }.value
                #expect(output.batches == 0)
            }
            #expect(try await purge(bench).batches == 1)
        }
    }

    @Test("a period that cannot be meant ends the job at once")
    func refuses() async throws {
        try await KindBench.run { bench in
            let failure = await #expect(throws: JobFailure.self) { _ = try await purge(bench, days: 0) }
            #expect(failure?.info.code == "invalid_retention")
        }
    }
}
