import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Cancel, dependencies, superseding", .hangGuard)
struct CancelTests {
    @Test("a waiting job is cancelled at once, and its object goes on")
    func cancelWaiting() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let first = try await harness.enqueue(TestJob(stage, "a", order: "o"))
            let second = try await harness.enqueue(TestJob(stage, "b", order: "o"))
            try await harness.queue.cancel(id: first, by: "ann")
            let job = try #require(try await harness.queue.job(id: first))
            #expect(job.state == .cancelled)
            #expect(job.endedBy == "ann")
            #expect(stage.events("ended cancelled cancelled") == ["a"])
            #expect(try await harness.state(second) == .ready)
            await #expect(throws: JobQueueError.wrongState(first, .cancelled, allowed: "unfinished")) {
                try await harness.queue.cancel(id: first, by: "ann")
            }
            await #expect(throws: JobQueueError.notFound(999_999)) {
                try await harness.queue.cancel(id: 999_999, by: "ann")
            }
        }
    }

    @Test("a running job is told to stop, with NOTIFY or without", arguments: [true, false])
    func cancelRunning(withNotify: Bool) async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(TestJob(stage, "a"))
                await gate.arrival()
                if withNotify {
                    try await harness.queue.cancel(id: id, by: "ann")
                } else {
                    try await harness.client.withTransaction { transaction in
                        _ = try await harness.store.requestCancel(jobId: id, by: "ann", in: transaction)
                    }
                }
                let job = try await harness.wait(for: id, .cancelled)
                #expect(job.error?.code == "cancelled")
            }
            #expect(stage.events("ended cancelled cancelled") == ["a"])
        }
    }

    @Test("a cancellation that comes after the attempt ended is not lost")
    func cancelTooLate() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let id = try await harness.enqueue(TestJob(stage, "a"))
            let claimed = try #require(try await harness.claimAll().first)
            try await harness.queue.cancel(id: id, by: "ann")
            let again = AgainJob(
                id: id, token: claimed.token, orderKey: nil, delay: .seconds(60), charged: true, error: nil)
            #expect(try await harness.store.putBack([again], in: harness.client).cancelRequested == [id])
            try await harness.running([harness.engine()]) {
                try await harness.wait(for: id, .cancelled)
            }
        }
    }

    @Test("protected work is cancelled only by force")
    func protected() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let id = try await harness.enqueue(ProtectedJob(stage: "", label: "a"))
            await #expect(throws: JobQueueError.protected(id)) { try await harness.queue.cancel(id: id, by: "ann") }
            try await harness.queue.cancel(id: id, by: "ann", force: true)
            #expect(try await harness.state(id) == .cancelled)
        }
    }

    @Test("a job waits for the jobs it depends on")
    func dependencies() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let (first, second, last) = try await harness.client.withTransaction { transaction in
                let first = try await harness.queue.enqueue(TestJob(stage, "team", order: "t"), in: transaction).id
                let second = try await harness.queue.enqueue(TestJob(stage, "user", order: "u"), in: transaction).id
                var options = JobOptions()
                options.dependsOn = [first, second]
                let last = try await harness.queue.enqueue(
                    TestJob(stage, "key", order: "k"), options: options, in: transaction)
                #expect(last.state == .blocked)
                return (first, second, last.id)
            }
            let reason = try #require(try await harness.queue.job(id: last)?.waiting)
            #expect(reason.code == .waitingForJobs)
            #expect(Set(reason.jobIds) == [first, second])
            try await harness.running([harness.engine(), harness.engine()]) {
                try await harness.wait(for: last, .succeeded)
            }
            #expect(stage.events("start").last == "key")
            #expect(Set(stage.events("start").prefix(2)) == ["team", "user"])
        }
    }

    @Test("who waits for a job that is superseded waits for the one that took its place")
    func dependencySuperseded() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { job, _ in
                guard job.label == "user" else { return }
                try await gate.pass()
                throw JobFailure.retryable(code: "x", message: "x")
            }
            let (user, key) = try await harness.client.withTransaction { transaction in
                let user = try await harness.queue.enqueue(
                    TestJob(stage, "user", order: "u", unique: "u"), in: transaction
                ).id
                var options = JobOptions()
                options.dependsOn = [user]
                let key = try await harness.queue.enqueue(
                    TestJob(stage, "key", order: "k"), options: options, in: transaction)
                return (user, key.id)
            }
            try await harness.running([harness.engine(), harness.engine()]) {
                await gate.arrival()
                let newer = try await harness.enqueue(TestJob(stage, "newer user", order: "u", unique: "u"))
                gate.open()
                try await harness.wait(for: key, .succeeded)
                #expect(try await harness.state(user) == .cancelled)
                #expect(try await harness.state(newer) == .succeeded)
            }
            #expect(stage.events("start") == ["user", "newer user", "key"])
            #expect(try await harness.count("select count(*) from job_dependencies") == 0)
        }
    }

    @Test("if a dependency fails, the jobs that wait for it fail with its error, all the way down")
    func dependencyFails() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { job, _ in
                if job.label == "team" { throw JobFailure.conflict(code: "taken", message: "Taken.") }
            }
            let last = try await harness.client.withTransaction { transaction in
                let team = try await harness.queue.enqueue(TestJob(stage, "team", order: "t"), in: transaction).id
                var options = JobOptions()
                options.dependsOn = [team]
                let user = try await harness.queue.enqueue(
                    TestJob(stage, "user", order: "u"), options: options, in: transaction
                ).id
                options.dependsOn = [user]
                return try await harness.queue.enqueue(
                    TestJob(stage, "key", order: "k"), options: options, in: transaction
                ).id
            }
            try await harness.running([harness.engine()]) {
                let job = try await harness.wait(for: last, .failed)
                #expect(job.error?.code == "taken")
                #expect(job.error?.errorClass == .conflict)
            }
            #expect(Set(stage.events("ended failed taken")) == ["team", "user", "key"])
            #expect(stage.events("start") == ["team"])
            #expect(try await harness.count("select count(*) from job_dependencies") == 0)
        }
    }

    @Test("a dependency that has ended: success counts as met, failure is refused")
    func dependencyEnded() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let done = try await harness.enqueue(TestJob(stage, "done", order: "d"))
            _ = try await harness.finishUntilDone(try await harness.claimAll())
            var options = JobOptions()
            options.dependsOn = [done]
            #expect(try await harness.queue.enqueue(TestJob(stage, "a", order: "a"), options: options).state == .ready)

            let cancelled = try await harness.enqueue(TestJob(stage, "c", order: "c"))
            try await harness.queue.cancel(id: cancelled, by: "ann")
            options.dependsOn = [cancelled]
            let needsCancelled = options
            await #expect(throws: JobQueueError.dependencyEnded) {
                try await harness.queue.enqueue(TestJob(stage, "b", order: "b"), options: needsCancelled)
            }
            let unordered = try await harness.enqueue(TestJob(stage, "u"))
            options.dependsOn = [unordered]
            let needsUnordered = options
            await #expect(throws: JobQueueError.dependencyWithoutOrder) {
                try await harness.queue.enqueue(TestJob(stage, "b", order: "b"), options: needsUnordered)
            }
        }
    }

    @Test("a revocation puts waiting work on its object aside, stops what runs, and starts when that has ended")
    func supersedes() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { job, _ in if job.label == "create" { try await gate.pass() } }
            try await harness.running([harness.engine()]) {
                let create = try await harness.enqueue(TestJob(stage, "create", order: "key:1"))
                await gate.arrival()
                let update = try await harness.enqueue(TestJob(stage, "update", order: "key:1"))
                var options = JobOptions()
                options.supersedes = true
                let revoke = try await harness.queue.enqueue(
                    ProtectedJob(stage: stage.name, label: "revoke", order: "key:1"), options: options)
                #expect(revoke.superseded == [update])
                try await harness.wait(for: revoke.id, .succeeded)
                let created = try #require(try await harness.queue.job(id: create))
                #expect(created.state == .cancelled)
                #expect(created.error?.code == "superseded")
                #expect(try await harness.queue.job(id: update)?.error?.code == "superseded")
            }
            #expect(stage.events("start") == ["create", "revoke"])
        }
    }
}
