import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// What tests of comparing with LiteLLM need: parents that are run with their children, by hand.
extension KindBench {
    /// One attempt, or, for a parent, as many as it takes with its children in between. Leaves the job where it is.
    @discardableResult
    func attemptFamily(_ jobId: Int64) async throws -> any Sendable {
        for _ in 0..<5 {
            do {
                return try await attempt(jobId)
            } catch is JobWaitForChildren {
                try await runChildren(of: jobId)
            } catch let snooze as JobSnooze {
                // What it waits for, unless a test has that go on for ever.
                let security = try await database.query(
                    """
                    select j.id from jobs j join job_queues q on q.id = j.queue_id
                    where q.name = 'security' and j.state = 0 order by j.id
                    """
                ).map { try $0.decode(Int64.self) }
                guard !security.isEmpty else { throw snooze }
                for id in security {
                    try await attempt(id)
                    try await finish(id)
                }
            }
        }
        throw JobWaitForChildren()
    }

    /// Runs a parent's children to their ends, and looks at them as the engine does.
    private func runChildren(of parent: Int64) async throws {
        while true {
            let next = try await database.query(
                "select id from jobs where parent_id = \(parent) and state <> 2 order by id limit 1"
            ).first?.decode(Int64.self)
            guard let next else { break }
            do {
                try await succeed(next, try await attemptFamily(next))
            } catch let error as JobFailure where error.info.errorClass != .retryable {
                try await end(next, as: .failed, code: error.info.code)
            }
        }
        try await database.query("update jobs set state = 7 where id = \(parent)")
        let families = PostgresFamilyStore()
        try await families.setPolicy(.someMayFail, parent: parent, in: database)
        let look = try await database.withTransaction { try await families.lookAtNext(in: $0) }
        #expect(look?.parent == parent && look?.isOpen == false)
    }

    /// Ends a job with its report, as the engine does.
    func succeed(_ jobId: Int64, _ output: any Sendable) async throws {
        let token = try await database.query(
            "update jobs set state = 1 where id = \(jobId) returning token"
        ).one(Int64.self)
        let result = try (output as? any Encodable).map { String(decoding: try JSON.encoder.encode($0), as: UTF8.self) }
        _ = try await store.finishOrdered(
            [FinishedJob(id: jobId, token: token, orderKey: "x", result: result)], in: database)
    }

    /// Compares LiteLLM with our rows and does what the policy says.
    func reconcile(
        dryRun: Bool = true, scope: [ReconcileScope]? = nil, _ policy: ReconcilePolicy = ReconcilePolicy()
    ) async throws -> ReconcileOrphans.Output {
        let kind = ReconcileOrphans(scope: scope, dryRun: dryRun, policy: policy)
        let job = try await services.queue.enqueue(kind)
        let output = try #require(try await attemptFamily(job.id) as? ReconcileOrphans.Output)
        try await succeed(job.id, output)
        return output
    }

    /// The findings in these states as short words, sorted: `key missing`, `user differs maxBudget`.
    func findings(_ states: DriftState...) async throws -> [String] {
        var filter = DriftFilter()
        filter.states = states
        filter.page = PageRequest(number: 1, size: 1000)
        return try await PostgresDriftStore().list(filter, in: database).items.map { finding in
            "\(finding.object.rawValue) \(finding.kind.rawValue)\(finding.field.isEmpty ? "" : " \(finding.field)")"
        }.sorted()
    }

    /// The one lasting finding of a kind.
    func finding(_ object: DriftObject, _ kind: DriftKind) async throws -> DriftFinding {
        var filter = DriftFilter()
        filter.objects = [object]
        filter.kinds = [kind]
        filter.states = [.open, .repairing, .ignored]
        return try #require(try await PostgresDriftStore().list(filter, in: database).items.first)
    }

    /// Changes of LiteLLM that nobody here asked for.
    func callsThatChange() -> [String] { litellm.state.calls.filter { !$0.hasPrefix("GET") } }
}

/// People with keys, in LiteLLM, and all that can go wrong with them behind our back.
struct DriftScene: Sendable {
    let user: User
    let other: User
    let team: Team
    /// Five keys of the user's: one is revoked.
    let keys: [CreatedKey]
    var revoked: CreatedKey { keys[4] }

    init(_ bench: KindBench) async throws {
        try await bench.addModel("gpt")
        let user = try await bench.addUser("alice", isSynced: true)
        other = try await bench.addUser("bob", isSynced: true)
        team = try await bench.database.withTransaction { transaction in
            try await TeamAdministration(queue: bench.services.queue).create(
                NewTeam(name: "Research"), by: bench.actor, in: transaction
            ).team
        }
        var keys: [CreatedKey] = []
        for number in 0..<5 { keys.append(try await bench.addKey(user) { $0.name = "key \(number)" }) }
        try await bench.runAll()
        _ = try await bench.revoke(keys[4])
        try await bench.runAll()
        try await bench.database.query("delete from jobs")
        self.user = user
        self.keys = keys
    }

    /// Each way in which LiteLLM can differ, once.
    func spoil(_ litellm: FakeLiteLLM) {
        litellm.change { [self] state in
            state.keys[keys[0].key.hash] = nil
            state.keys[keys[1].key.hash]?["max_budget"] = 99
            state.keys[keys[2].key.hash]?["models"] = []
            state.keys[revoked.key.hash]?["blocked"] = false
            state.keys[Self.hash(1)] = Self.key(1, marker: true)
            state.keys[Self.hash(2)] = Self.key(2, marker: false)
            state.users[other.id.text]?["user_alias"] = "Mallory"
            state.teams[team.id.text]?["rpm_limit"] = 3
            state.users["somebody"] = ["user_id": "somebody", "user_email": "some@body.com"]
            state.teams["theirs"] = ["team_id": "theirs", "team_alias": "Theirs"]
        }
    }

    /// What ``spoil(_:)`` comes to.
    static let findings = [
        "key alive", "key differs maxBudget", "key differs models", "key foreign", "key missing", "key unknown",
        "team differs rpmLimit", "team foreign", "user differs fullName", "user foreign",
    ]

    static func hash(_ number: Int) -> String { sha256Hex("sk-stranger-\(number)") }

    /// A key that has no row here.
    static func key(_ number: Int, marker: Bool) -> FakeLiteLLM.Row {
        var row: FakeLiteLLM.Row = [
            "token": .string(hash(number)), "key_alias": .string("stranger-\(number)"), "models": ["gpt"],
            "key_name": "sk-...0000", "user_id": "somebody", "max_budget": 3, "rpm_limit": 7,
        ]
        if marker {
            row["metadata"] = LiteLLMMarker(.key, id: UUID().text, intentId: "1", version: 1).metadata
        }
        return row
    }
}
