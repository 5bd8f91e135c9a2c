import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Cascade from a model to its subscriptions", .needsDatabase, .hangGuard)
struct ModelCascadeTests {
    private static func job(_ cause: ModelCascade.Cause, chunk: Int = 2) -> ModelCascade {
        var job = ModelCascade(modelId: "gpt", cause: cause)
        job.chunk = chunk
        return job
    }

    /// People with a subscription to `gpt` and a key for it each.
    private func people(_ count: Int, _ bench: KindBench) async throws -> [(user: User, subscription: Subscription)] {
        try await bench.addModel("gpt")
        var people: [(user: User, subscription: Subscription)] = []
        for number in 0..<count {
            let user = try await bench.addUser("user\(number)", isSynced: true)
            let subscription = try await bench.subscribe(user, to: "gpt")
            _ = try await bench.addKey(user)
            people.append((user, subscription))
        }
        try await bench.runAll()
        return people
    }

    private func enqueue(_ bench: KindBench, _ job: ModelCascade) async throws -> Int64 {
        try await bench.services.queue.enqueue(job).id
    }

    /// One attempt, which puts its children in and waits for them.
    private func begin(_ bench: KindBench, _ id: Int64) async throws {
        await #expect(throws: JobWaitForChildren.self) { try await bench.attempt(id) }
    }

    /// Runs the children and what the engine does afterwards, and gives the report.
    private func end(_ bench: KindBench, _ id: Int64) async throws -> ModelCascade.Output {
        for child in try await bench.jobs(KeyAccess.self) { try await bench.attempt(child) }
        for child in try await bench.jobs(KeyAccess.self) { try await bench.succeed(child) }
        let output = try #require(try await bench.resume(id) as? ModelCascade.Output)
        try await bench.finish(id)
        return output
    }

    private func statuses(_ people: [(user: User, subscription: Subscription)], _ bench: KindBench) async throws
        -> [SubscriptionStatus]
    {
        var found: [SubscriptionStatus] = []
        for person in people { found.append(try await bench.row(person.subscription).status) }
        return found
    }

    @Test("a restriction takes everybody back, and lifting it puts them where they were; the keys follow")
    func restriction() async throws {
        try await KindBench.run { bench in
            let people = try await people(5, bench)
            _ = try await bench.database.withTransaction { transaction in
                try await bench.subscriptions.suspend(
                    people[3].subscription.id, reason: nil, by: bench.owner(people[3].user), in: transaction)
            }
            _ = try await bench.database.withTransaction { transaction in
                try await bench.subscriptions.suspend(
                    people[4].subscription.id, reason: nil, by: bench.administrator, in: transaction)
            }
            try await bench.runAll()
            try await bench.restrict("gpt")
            let id = try await enqueue(bench, Self.job(.restriction))
            try await begin(bench, id)
            #expect(try await statuses(people, bench) == [.pending, .pending, .pending, .pending, .suspended])
            let output = try await end(bench, id)
            #expect(output == ModelCascade.Output(moved: 4, keys: 3, succeeded: 3, failed: 0))
            #expect(try await bench.actions(people[0].subscription).last == "SUBSCRIPTION_RESTRICTED")

            // One is approved meanwhile: a later run of the same cascade leaves that alone.
            _ = try await bench.decide(.approve, people[0].subscription)
            try await bench.runAll()
            try await bench.restrict("gpt", false)
            let lift = try await enqueue(bench, Self.job(.restriction))
            try await begin(bench, lift)
            #expect(try await statuses(people, bench) == [.active, .active, .active, .suspended, .suspended])
            #expect(try await end(bench, lift).moved == 3)
            #expect(
                try await bench.path(people[3].subscription) == [
                    "active:request", "suspended:owner", "pending:restriction", "suspended:restriction_lifted",
                ])
            let resumed = try await bench.database.withTransaction {
                try await bench.subscriptions.resume(
                    people[3].subscription.id, reason: nil, by: bench.owner(people[3].user), in: $0)
            }
            #expect(resumed.subscription.status == .active)
        }
    }

    @Test("a suspension by quota is one again afterwards, and ends with the month")
    func quotaSurvives() async throws {
        try await KindBench.run { bench in
            let people = try await people(1, bench)
            let subscription = people[0].subscription
            try await bench.database.withTransaction { transaction in
                _ = try await bench.subscriptions.store.move(
                    [subscription.id], SubscriptionMove(to: .suspended, cause: .quota), in: transaction)
            }
            for isRestricted in [true, false] {
                try await bench.restrict("gpt", isRestricted)
                let id = try await enqueue(bench, Self.job(.restriction))
                try await begin(bench, id)
                _ = try await end(bench, id)
            }
            #expect(try await bench.path(subscription).last == "suspended:quota")
            try await bench.database.query("update subscriptions set reset_at = now() - interval '1 second'")
            let reset = try await bench.services.queue.enqueue(QuotaReset())
            try await bench.attempt(reset.id)
            #expect(try await bench.row(subscription).status == .active)
        }
    }

    @Test("what an administrator approved after the restriction stays approved")
    func laterApproval() async throws {
        try await KindBench.run { bench in
            let people = try await people(2, bench)
            try await bench.restrict("gpt")
            let id = try await enqueue(bench, Self.job(.restriction))
            _ = try await bench.decide(.deny, people[0].subscription)
            _ = try await bench.database.withTransaction {
                try await bench.subscriptions.revert(
                    people[0].subscription.id, to: .active, reason: nil, by: bench.administrator, in: $0)
            }
            try await begin(bench, id)
            #expect(try await statuses(people, bench) == [.active, .pending])
        }
    }

    @Test("a model that is gone ends its subscriptions; one that is back again keeps them")
    func retirement() async throws {
        try await KindBench.run { bench in
            let people = try await people(3, bench)
            let early = try await enqueue(bench, Self.job(.retirement))
            await #expect(throws: JobWaitForChildren.self) { try await bench.attempt(early) }
            #expect(try await statuses(people, bench) == [.active, .active, .active])
            try await bench.finish(early)
            try await bench.database.query("update models set availability = 'unavailable'")
            let id = try await enqueue(bench, Self.job(.retirement))
            try await begin(bench, id)
            #expect(try await end(bench, id) == ModelCascade.Output(moved: 3, keys: 3, succeeded: 3, failed: 0))
            #expect(try await bench.path(people[1].subscription) == ["active:request", "inactive:retirement"])
            #expect(
                try await bench.refusal { try await bench.subscribe(people[1].user, to: "gpt") } == .modelUnavailable)
        }
    }

    @Test("dies between any two chunks: nothing is lost, nothing happens twice")
    func deaths() async throws {
        for death in 0..<4 {
            try await KindBench.run { bench in
                let people = try await people(4, bench)
                try await bench.restrict("gpt")
                let id = try await enqueue(bench, Self.job(.restriction, chunk: 1))
                // The chunk after so many others fails before it commits, as when its worker is killed there.
                try await bench.database.query("create sequence chunks minvalue 0 start 0")
                try await bench.database.query(
                    """
                    create function die() returns trigger language plpgsql as $$ begin
                        if nextval('chunks') = \(literal: String(death))::bigint then raise exception 'killed'; end if;
                        return null;
                    end $$
                    """)
                try await bench.database.query(
                    """
                    create trigger die after insert on subscription_status_history
                    for each row execute function die()
                    """)
                await #expect(throws: PostgresError.self) { try await bench.attempt(id) }
                #expect(try await bench.jobs(KeyAccess.self).count == death)
                #expect(try await statuses(people, bench).filter { $0 == .pending }.count == death)
                try await begin(bench, id)
                #expect(try await end(bench, id) == ModelCascade.Output(moved: 4, keys: 4, succeeded: 4, failed: 0))
                for person in people {
                    #expect(try await bench.path(person.subscription) == ["active:request", "pending:restriction"])
                }
            }
        }
    }

    @Test("an attempt that lost its job moves nothing")
    func fenced() async throws {
        try await KindBench.run { bench in
            let people = try await people(1, bench)
            try await bench.restrict("gpt")
            let id = try await enqueue(bench, Self.job(.restriction))
            let context = try await bench.claim(id)
            try await bench.database.query("update jobs set token = token + 1 where id = \(id)")
            await #expect(throws: JobLeaseLost.self) { _ = try await Self.job(.restriction).run(in: context) }
            #expect(try await statuses(people, bench) == [.active])
            #expect(try await bench.jobs(KeyAccess.self).isEmpty)
        }
    }
}
