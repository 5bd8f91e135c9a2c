import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// Puts in as many children as it is told, and counts how they came out.
struct FamilyJob: JobKind {
    struct Output: Codable, Sendable, Equatable {
        var counts: ChildCounts
        var labels: [String]
    }
    static let name = "test.family"
    static let retry = RetryPolicy(maxAttempts: 3, backoff: Backoff(initial: .milliseconds(5), cap: .milliseconds(20)))
    var stage: String
    var children: Int
    var policy: ChildPolicy
    var chunk = 10
    var order: String?
    var orderKey: String? { order }

    func run(in context: JobContext) async throws -> Output {
        guard let stage = Stage.find(stage) else { throw JobFailure.permanent(code: "no_stage", message: "") }
        if let counts = try await context.children() {
            let results = try await context.childResults(as: ChildJob.Output.self)
            return Output(counts: counts, labels: results.compactMap { $0.output?.label })
        }
        try await context.enqueueChildren(
            (0..<children).map { ChildJob(stage: stage.name, label: "\($0)", order: order) }, chunk: chunk)
        try await stage.play(TestJob(stage, "parent"), context)
        throw JobWaitForChildren(policy)
    }
}

struct ChildJob: JobKind {
    struct Output: Codable, Sendable, Equatable { var label: String }
    static let name = "test.child"
    static let retry = RetryPolicy(maxAttempts: 1, backoff: Backoff(initial: .milliseconds(5), cap: .milliseconds(20)))
    var stage: String
    var label: String
    var order: String?
    var orderKey: String? { order }

    func run(in context: JobContext) async throws -> Output {
        guard let found = Stage.find(stage) else { throw JobFailure.permanent(code: "no_stage", message: "") }
        try await found.play(TestJob(found, label), context)
        return Output(label: label)
    }
}

@Suite("Children", .hangGuard)
struct ChildrenTests {
    static let catalog = JobCatalog([FamilyJob.self, ChildJob.self, TestJob.self])

    static func family(_ stage: Stage, _ children: Int, _ policy: ChildPolicy) -> FamilyJob {
        FamilyJob(stage: stage.name, children: children, policy: policy)
    }

    @Test("a parent waits without a slot, shows how far its children are, and gets their results")
    func results() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database, catalog: Self.catalog)
            let gate = Gate()
            let stage = Stage { job, _ in if job.label != "parent" { try await gate.pass() } }
            var settings = EngineHarness.fastSettings
            // Were the parent to keep its slot, no child could run.
            settings.concurrency = 1
            try await harness.running([harness.engine(settings)]) {
                let id = try await harness.enqueue(Self.family(stage, 25, .allMustSucceed))
                await gate.arrival()
                #expect(
                    try await eventually { try await harness.queue.job(id: id)?.progress?.children?.total == 25 })
                let waiting = try #require(try await harness.queue.job(id: id))
                #expect(waiting.state == .blocked && waiting.waiting?.code == .waitingForChildren)
                #expect(waiting.progress?.fraction == 0)
                #expect(try await harness.queue.children(of: id).count == 25)
                gate.open()
                let done = try await harness.wait(for: id, .succeeded)
                #expect(done.attempt == 1)
                #expect(done.result?["counts"]?["succeeded"] == 25)
                let labels = done.result?["labels"]?.arrayValue?.compactMap(\.stringValue) ?? []
                #expect(Set(labels) == Set((0..<25).map { "\($0)" }))
                #expect(
                    try await eventually { try await harness.count("select count(*) from job_families") == 0 })
            }
            #expect(stage.events("start").count == 26)
        }
    }

    @Test(
        "where some may fail, the parent gets partial results", arguments: [ChildPolicy.someMayFail, .allMustSucceed])
    func partial(policy: ChildPolicy) async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database, catalog: Self.catalog)
            let stage = Stage { job, _ in
                if ["3", "7"].contains(job.label) { throw JobFailure.permanent(code: "broken", message: "No.") }
            }
            try await harness.running([harness.engine(), harness.engine()]) {
                let id = try await harness.enqueue(Self.family(stage, 12, policy))
                switch policy {
                case .someMayFail:
                    let done = try await harness.wait(for: id, .succeeded)
                    #expect(done.result?["counts"] == ["total": 12, "succeeded": 10, "failed": 2, "cancelled": 0])
                    #expect(done.result?["labels"]?.arrayValue?.count == 10)
                case .allMustSucceed:
                    let failed = try await harness.wait(for: id, .failed)
                    #expect(failed.error?.code == "children_failed")
                    #expect(failed.progress?.children == ChildCounts(total: 12, succeeded: 10, failed: 2))
                }
            }
        }
    }

    @Test("an attempt after a crash goes on behind the children that are there: none is put in twice")
    func noDoubles() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database, catalog: Self.catalog)
            let stage = Stage { job, context in
                if job.label == "parent", context.attempt == 1 { throw JobFailure.retryable(code: "x", message: "") }
            }
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(Self.family(stage, 35, .allMustSucceed))
                let done = try await harness.wait(for: id, .succeeded)
                #expect(done.result?["counts"]?["total"] == 35)
            }
            #expect(stage.events("start").filter { $0 != "parent" }.count == 35)
        }
    }

    @Test("cancelling the parent cancels its children, the running ones too")
    func cancel() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database, catalog: Self.catalog)
            let gate = Gate()
            let stage = Stage { job, _ in if job.label != "parent" { try await gate.pass() } }
            var settings = EngineHarness.fastSettings
            settings.concurrency = 2
            try await harness.running([harness.engine(settings)]) {
                let id = try await harness.enqueue(Self.family(stage, 30, .allMustSucceed))
                await gate.arrival()
                #expect(try await eventually { try await harness.state(id) == .blocked })
                try await harness.queue.cancel(id: id, by: "ann")
                try await harness.expectDrained()
                #expect(try await harness.state(id) == .cancelled)
                let children = try await harness.queue.children(of: id)
                #expect(children.count == 30 && children.allSatisfy { $0.state == .cancelled })
                #expect(children.allSatisfy { $0.endedBy == "job \(id)" })
                #expect(
                    try await eventually { try await harness.count("select count(*) from job_families") == 0 })
            }
            #expect(stage.events("end").filter { $0 != "parent" }.isEmpty)
        }
    }

    @Test("a parent without children goes on; one that would wait for itself is refused")
    func edges() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database, catalog: Self.catalog)
            let stage = Stage()
            try await harness.running([harness.engine()]) {
                let empty = try await harness.enqueue(Self.family(stage, 0, .allMustSucceed))
                #expect(try await harness.wait(for: empty, .succeeded).result?["counts"]?["total"] == 0)
                var job = Self.family(stage, 2, .allMustSucceed)
                job.order = "object"
                let locked = try await harness.enqueue(job)
                #expect(try await harness.wait(for: locked, .failed).error?.code == "child_behind_parent")
            }
        }
    }

    @Test("the usage of the last days is taken over by one child a day")
    func usageRefresh() async throws {
        try await withTestDatabase { database in
            let litellm = FakeLiteLLM()
            let harness = try await EngineHarness(
                database, catalog: JobCatalog([UsageRefresh.self, UsageFetchDay.self]), litellm: litellm.client)
            var settings = EngineHarness.fastSettings
            // Longer than the limit of a usage call, or none would start.
            settings.lease = .seconds(600)
            try await harness.running([harness.engine(settings)]) {
                let id = try await harness.enqueue(UsageRefresh(days: 3))
                let done = try await harness.wait(for: id, .succeeded)
                #expect(done.result?["days"]?.arrayValue?.count == 3)
                #expect(done.result?["failed"] == 0)
                let days = try await harness.queue.children(of: id).compactMap { $0.result?["date"]?.stringValue }
                #expect(Set(days).count == 3)
                let refused = try await harness.enqueue(UsageRefresh(days: 0))
                #expect(try await harness.wait(for: refused, .failed).error?.code == "invalid_days")
            }
            #expect(try await harness.count("select count(*) from usage_days") == 3)
        }
    }
}
