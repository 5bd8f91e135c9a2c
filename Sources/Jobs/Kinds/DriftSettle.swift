import Foundation
package import Shared

/// Sets one finding right by the object's own jobs, and reads back whether they did.
package struct DriftSettle: JobKind {
    /// What became of it.
    package enum Outcome: String, Codable, Sendable {
        /// LiteLLM is as wanted.
        case repaired
        /// LiteLLM refuses it.
        case revoked
        /// There was nothing left to do.
        case gone
        /// LiteLLM has lost a key whose secret is no longer kept.
        case lost
        /// It is as it was.
        case failed
    }

    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        package var subject: DriftSubject
        package var outcome: Outcome
    }

    package static let name = "drift.settle"
    package static let upstream: Upstream? = .litellmAdmin
    /// How long it leaves an object to other jobs.
    private static let pause: Duration = .seconds(2)
    /// How long it waits for them altogether. What refuses a key goes on by itself.
    private static let patience: Duration = .seconds(600)

    package let subject: DriftSubject
    package let action: ReconcilePolicy.Action

    package init(subject: DriftSubject, action: ReconcilePolicy.Action) {
        self.subject = subject
        self.action = action
    }

    package var orderKey: String? { "drift:\(subject.object.rawValue):\(subject.id)" }

    package func run(in context: JobContext) async throws -> Output {
        guard DriftRepair.isPossible(action, subject.object, subject.kind) else {
            throw JobFailure.permanent(
                code: "impossible_repair",
                message: "Nothing that is \(subject.kind.rawValue) in LiteLLM can be settled by \(action.rawValue).")
        }
        let store = PostgresDriftStore()
        let stage = try await context.transaction { transaction in
            try await store.settle(subject, job: context.id, patience: Self.patience, in: transaction)
        }
        guard let stage else { return Output(subject: subject, outcome: .gone) }
        let haveEnded = try await context.children() != nil
        let family = try await PostgresFamilyStore().find(parent: context.id, in: context.services.database)
        guard haveEnded || family == nil else { throw JobWaitForChildren(.someMayFail) }
        let isProof = haveEnded || stage.isRefusing
        let check = DriftCheck(context)
        guard !stage.isSecurityJobLive || stage.isOverdue,
            case .seen(let all, let version) = try await check.look(
                at: subject.object, subject.id, litellmIds: stage.litellmIds)
        else { return try await leave(stage, context) }
        let observations = all.filter { $0.kind == subject.kind }
        guard !isProof else { return try await prove(observations, context) }
        guard !observations.isEmpty else { return try await conclude(.gone, .gone, context) }
        let beginning = try await context.transaction { transaction -> DriftRepair.Beginning? in
            guard try await check.holds(subject.object, subject.id, version: version, in: transaction) else {
                return nil
            }
            let repair = DriftRepair(subject: subject, context: context)
            let beginning = try await repair.begin(observations, in: transaction)
            if case .security(let id) = beginning { try await store.noteSecurityJob(id, subject, in: transaction) }
            return beginning
        }
        switch beginning {
        case nil: return try await leave(stage, context)
        case .nothing: return try await conclude(.lost, .open, context)
        case .children: throw JobWaitForChildren(.someMayFail)
        case .security: throw busy
        }
    }

    private var busy: JobSnooze {
        JobSnooze(for: Self.pause, reason: "Another job is at work on \(subject.object.rawValue) \(subject.id).")
    }

    /// Comes back later while other jobs are at work, but not without end: a walk waits for this job, and the next
    /// comparison for the walk.
    private func leave(_ stage: DriftSettling, _ context: JobContext) async throws -> Output {
        guard stage.isOverdue else { throw busy }
        return try await conclude(.failed, .open, context)
    }

    /// The jobs' word is not enough: LiteLLM is read again.
    private func prove(_ observations: [DriftObservation], _ context: JobContext) async throws -> Output {
        guard observations.isEmpty else { return try await conclude(.failed, .open, context) }
        let isRefused = action == .revoke || (subject.object == .key && subject.kind == .alive)
        return try await isRefused ? conclude(.revoked, .revoked, context) : conclude(.repaired, .repaired, context)
    }

    private func conclude(_ outcome: Outcome, _ state: DriftState, _ context: JobContext) async throws -> Output {
        try await context.transaction { transaction in
            let store = PostgresDriftStore()
            let findings = try await store.lasting(subject, in: transaction)
            try await store.move(subject, to: state, job: context.id, by: nil, in: transaction)
            guard let first = findings.first, outcome != .gone else { return }
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "DRIFT_SETTLED", resourceType: "drift",
                    resourceId: String(first.id),
                    newValues: [
                        "objectType": .string(subject.object.rawValue), "objectId": .string(subject.id),
                        "kind": .string(subject.kind.rawValue), "outcome": .string(outcome.rawValue),
                        "fields": .array(findings.map { .string($0.field) }),
                    ], jobId: context.id, success: outcome == .repaired || outcome == .revoked),
                in: transaction)
        }
        return Output(subject: subject, outcome: outcome)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresDriftStore().move(subject, to: .open, job: end.jobId, by: nil, in: transaction)
        try await end.audit("DRIFT_SETTLE_FAILED", about: subject.object.rawValue, subject.id, in: transaction)
    }
}
