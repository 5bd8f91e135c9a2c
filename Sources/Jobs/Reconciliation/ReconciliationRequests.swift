package import Foundation
package import Shared

/// What people ask for and decide about differences: the row, the job and the audit entry in one transaction.
package struct ReconciliationRequests: Sendable {
    private let queue: JobQueue
    private let store = PostgresDriftStore()
    private let audit = PostgresAuditStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        self.queue = queue
    }

    // MARK: Walks

    /// Stores the job that compares LiteLLM with our rows. One like it that has not ended is given instead.
    package func reconcile(
        scope: [ReconcileScope]?, dryRun: Bool, policy: ReconcilePolicy, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        let kind = ReconcileOrphans(scope: scope, dryRun: dryRun, policy: policy)
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "reconciliation", id: "litellm")
        let job = try await enqueueOnce(kind, options, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "RECONCILE", resourceType: "reconciliation", resourceId: nil,
                newValues: [
                    "scope": .array((kind.scope ?? []).map { .string($0.rawValue) }), "dryRun": .bool(dryRun),
                    "policy": policy.json,
                ], jobId: job.id),
            in: transaction)
        return job
    }

    /// Stores the job that brings everything of `request` to LiteLLM again. One like it that has not ended is given
    /// instead.
    package func synchronise(
        _ request: IntegrationSync, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "integration", id: "litellm")
        let job = try await enqueueOnce(request, options, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "INTEGRATION_SYNC", resourceType: "integration", resourceId: nil,
                newValues: try JSON.decoder.decode(JSONValue.self, from: JSON.encoder.encode(request)), jobId: job.id),
            in: transaction)
        return job
    }

    private func enqueueOnce<Kind: JobKind>(
        _ kind: Kind, _ options: JobOptions, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        let args = try JSON.decoder.decode(JSONValue.self, from: JSON.encoder.encode(kind))
        if let id = try await store.live(kind: Kind.name, args: args, in: transaction),
            let job = try await queue.job(id: id, in: transaction)
        {
            return EnqueuedJob(id: id, coalesced: true, state: job.state, superseded: [])
        }
        return try await queue.enqueue(kind, options: options, in: transaction)
    }

    /// One page of findings.
    package func findings(_ filter: DriftFilter) async throws -> Page<DriftFinding> {
        try await store.list(filter, in: queue.database)
    }

    // MARK: Decisions

    /// Has what a finding says set right, with all that differs of its object in the same way.
    ///
    /// - Throws: ``DriftError``.
    package func repair(
        _ id: Int64, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> (finding: DriftFinding, job: EnqueuedJob) {
        let finding = try await lasting(id, in: transaction)
        guard finding.kind != .foreign else {
            throw DriftError(
                .impossible, "Nobody made this here, so there is nothing to set right. Use adopt, revoke or ignore.")
        }
        guard finding.kind != .unknown else {
            throw DriftError(.impossible, "There is no row to go by. A key can be revoked; anything can be ignored.")
        }
        return try await settle(finding, .repair, "DRIFT_REPAIR", by: actor, in: transaction)
    }

    /// Has a key that has no row here refused by LiteLLM, and deleted later.
    ///
    /// - Parameter confirm: the key's alias or hash.
    /// - Throws: ``DriftError``.
    package func revoke(
        _ id: Int64, confirm: String?, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> (finding: DriftFinding, job: EnqueuedJob) {
        let finding = try await lasting(id, in: transaction)
        guard finding.object == .key else {
            throw DriftError(
                .impossible, "Only keys can be revoked here. Delete the \(finding.object.rawValue) in LiteLLM.")
        }
        guard finding.kind == .unknown || finding.kind == .foreign else {
            throw DriftError(.impossible, "This key has a row here: revoke key \(finding.objectId) itself, or repair.")
        }
        // One that bears our mark may be another installation's.
        guard let confirm, [finding.name, finding.litellmId].compactMap(\.self).contains(confirm) else {
            throw DriftError(
                .unconfirmed, "This key may be somebody else's: repeat its alias or its hash.", field: "confirm")
        }
        return try await settle(finding, .revoke, "DRIFT_REVOKE", by: actor, in: transaction)
    }

    /// Has a key that nobody made here taken under our care, for a person.
    ///
    /// - Throws: ``DriftError``.
    package func adopt(
        _ id: Int64, for userId: UUID, name: String?, subscribe: Bool, replaceMetadata: Bool = false,
        by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> (finding: DriftFinding, job: EnqueuedJob) {
        let finding = try await lasting(id, in: transaction)
        try Self.checkAdoptable(finding)
        guard let user = try await PostgresUserStore().find(userId, in: transaction), user.isActive else {
            throw DriftError(.invalid, "There is no such user, or they are deactivated.", field: "userId")
        }
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "drift", id: String(finding.id))
        let job = try await enqueueOnce(
            KeyAdopt(
                hash: finding.objectId, userId: user.id, name: name, subscribe: subscribe,
                replaceMetadata: replaceMetadata), options, in: transaction)
        try await store.move(subject(finding), to: .repairing, job: job.id, by: actor.name, in: transaction)
        try await write("DRIFT_ADOPT", finding, jobId: job.id, reason: nil, by: actor, in: transaction)
        return (try await stored(finding.id, in: transaction), job)
    }

    private static func checkAdoptable(_ finding: DriftFinding) throws(DriftError) {
        guard finding.kind == .foreign else {
            throw DriftError(.impossible, "Only what nobody made here can be adopted; repair, revoke or ignore it.")
        }
        let advice: String? =
            switch finding.object {
            case .key: nil
            case .user: "A user is adopted for the person with its address: POST /api/v1/admin/users/{id}/realign."
            case .team: "A team cannot be adopted: make one here, and move members and keys to it."
            case .model: "A model is adopted by changing it: PUT /api/v1/admin/models/{id}."
            }
        if let advice { throw DriftError(.impossible, advice) }
    }

    /// Leaves a finding as it is; it stays on the list.
    ///
    /// - Throws: ``DriftError``.
    package func ignore(
        _ id: Int64, reason: String?, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> DriftFinding {
        let finding = try await lasting(id, in: transaction)
        try await store.move(subject(finding), to: .ignored, job: nil, by: actor.name, in: transaction)
        try await write("DRIFT_IGNORE", finding, jobId: nil, reason: reason, by: actor, in: transaction)
        return try await stored(id, in: transaction)
    }

    private func settle(
        _ finding: DriftFinding, _ action: ReconcilePolicy.Action, _ name: String, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> (finding: DriftFinding, job: EnqueuedJob) {
        let subject = subject(finding)
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "drift", id: String(finding.id))
        let job = try await enqueueOnce(DriftSettle(subject: subject, action: action), options, in: transaction)
        try await store.move(subject, to: .repairing, job: job.id, by: actor.name, in: transaction)
        try await write(name, finding, jobId: job.id, reason: nil, by: actor, in: transaction)
        return (try await stored(finding.id, in: transaction), job)
    }

    // MARK: Finding

    /// The finding, locked.
    ///
    /// - Throws: ``DriftError`` `notFound`, `ended`.
    private func lasting(_ id: Int64, in transaction: PostgresTransaction) async throws -> DriftFinding {
        guard let finding = try await store.lock(id, in: transaction) else {
            throw DriftError(.notFound, "There is no such finding.")
        }
        guard finding.state.isLasting else {
            throw DriftError(.ended, "This finding is \(finding.state.rawValue): there is nothing to decide any more.")
        }
        return finding
    }

    private func subject(_ finding: DriftFinding) -> DriftSubject {
        DriftSubject(object: finding.object, id: finding.objectId, kind: finding.kind)
    }

    private func stored(_ id: Int64, in transaction: PostgresTransaction) async throws -> DriftFinding {
        guard let finding = try await store.find(id, in: transaction) else { throw JobFailure.rowMissing("finding") }
        return finding
    }

    private func write(
        _ action: String, _ finding: DriftFinding, jobId: Int64?, reason: String?, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws {
        var values: [String: JSONValue] = [
            "objectType": .string(finding.object.rawValue), "objectId": .string(finding.objectId),
            "kind": .string(finding.kind.rawValue), "field": .string(finding.field),
        ]
        if let reason { values["reason"] = .string(reason) }
        try await audit.append(
            AuditEntry(
                actor: actor, action: action, resourceType: "drift", resourceId: String(finding.id),
                newValues: .object(values), jobId: jobId),
            in: transaction)
    }
}

/// Why a decision about a difference was refused. Safe to show.
package struct DriftError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds of refusal.
    package enum Code: Sendable {
        case notFound
        /// Nothing is left to decide.
        case ended
        /// The decision does not fit what was found.
        case impossible
        /// It has to be said which key is meant.
        case unconfirmed
        /// A field of the decision is to blame.
        case invalid
    }

    package let code: Code
    /// One sentence.
    package let message: String
    /// The field that is to blame.
    package let field: String?

    package init(_ code: Code, _ message: String, field: String? = nil) {
        self.code = code
        self.message = message
        self.field = field
    }

    /// The message.
    package var description: String { message }
}
