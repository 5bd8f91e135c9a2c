import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// What tests of batches of keys need.
extension KindBench {
    var batches: KeyBatches { KeyBatches(queue: services.queue, keys: provisioning) }
    var batchStore: PostgresKeyBatchStore { PostgresKeyBatchStore() }

    /// People whom LiteLLM knows.
    func addPeople(_ count: Int) async throws -> [User] {
        try await addModel("gpt")
        var people: [User] = []
        for number in 1...count { people.append(try await addUser("user\(number)", isSynced: true)) }
        return people
    }

    func batchRequest(_ users: [User], name: String = "workshop") -> KeyBatchRequest {
        var template = KeyBatchTemplate(keyName: "lab-{n}", modelIds: ["gpt"])
        template.maxBudget = 5
        template.rpmLimit = 60
        template.duration = "7d"
        return KeyBatchRequest(
            name: name, template: template, labels: ["intro", "ws1"], subscribes: true,
            people: .each(
                users.enumerated().map { KeyBatchRequest.Person(.known($1.id), at: "users[\($0)]") }),
            newcomers: KeyBatchNewcomers(provider: "ahead", roles: [.user], limits: SpendingLimits(maxBudget: 10)),
            mayMakePeople: true)
    }

    /// Asks for a batch that is made in chunks of `chunk`; gives it and its job.
    func addBatch(_ request: KeyBatchRequest, chunk: Int = 2) async throws -> (batch: KeyBatch, jobId: Int64) {
        let made = try await database.withTransaction { try await batches.create(request, by: administrator, in: $0) }
        let jobId = try #require(made.job).id
        try await cut(jobId, chunk)
        return (made.batch, jobId)
    }

    /// As somebody with every permission does.
    func retry(
        _ batch: KeyBatch, in transaction: PostgresTransaction
    ) async throws -> (batch: KeyBatch, job: EnqueuedJob) {
        try await batches.retry(batch.id, mayMakePeople: true, maySubscribe: true, by: actor, in: transaction)
    }

    func cut(_ jobId: Int64, _ chunk: Int) async throws {
        try await database.query(
            "update jobs set args = jsonb_set(args, '{chunk}', to_jsonb(\(chunk))) where id = \(jobId)")
    }

    /// One attempt, which puts its children in and waits for them.
    func begin(_ jobId: Int64) async throws {
        await #expect(throws: JobWaitForChildren.self) { try await attempt(jobId) }
    }

    /// Runs whatever keys and people wait for, then the parent to its end; gives its report.
    func endFamily<Output: Sendable>(_ jobId: Int64, as type: Output.Type) async throws -> Output {
        for kind in [TeamEnsure.self, UserProvision.self] as [any JobKind.Type] {
            for job in try await jobs(kind) {
                try await attempt(job)
                try await finish(job)
            }
        }
        for kind in [KeyCreate.self, KeyRotate.self, KeyUpdate.self, KeyRevoke.self] as [any JobKind.Type] {
            for child in try await jobs(kind) {
                try await attempt(child)
                let token = try await database.query(
                    "update jobs set state = 1 where id = \(child) returning token"
                ).one(Int64.self)
                _ = try await store.finishOrdered(
                    [FinishedJob(id: child, token: token, orderKey: "x", result: nil)], in: database)
            }
        }
        try await database.query("update jobs set state = 7 where id = \(jobId)")
        try await PostgresFamilyStore().setPolicy(.someMayFail, parent: jobId, in: database)
        _ = try await database.withTransaction { try await PostgresFamilyStore().lookAtNext(in: $0) }
        let output = try #require(try await attempt(jobId) as? Output)
        try await finish(jobId)
        return output
    }

    /// Lets the statement after so many others of its kind fail before it commits, as when its worker is killed there.
    func dieAfter(_ count: Int, changing table: StaticString) async throws {
        try await database.query("drop sequence if exists chunks cascade")
        try await database.query("create sequence chunks minvalue 0 start 0")
        try await database.query(
            """
            create or replace function die() returns trigger language plpgsql as $$ begin
                if nextval('chunks') = \(literal: String(count))::bigint then raise exception 'killed'; end if;
                return null;
            end $$
            """)
        try await database.query(
            """
            create or replace trigger die after insert or update on \(unescaped: table)
            for each row execute function die()
            """)
    }

    func items(_ batch: KeyBatch) async throws -> [KeyBatchItem] {
        try await batchStore.items(of: batch.id, after: 0, limit: 5000, in: database)
    }

    func statuses(_ batch: KeyBatch) async throws -> [KeyBatchItemStatus] { try await items(batch).map(\.status) }
}
