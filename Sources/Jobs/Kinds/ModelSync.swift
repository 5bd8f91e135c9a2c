package import Foundation
import Logging
package import Shared

/// Takes LiteLLM's list of models over into our catalogue.
package struct ModelSync: JobKind {
    /// What it reports, in the API's spelling.
    package struct Output: Codable, Sendable, Equatable {
        /// Whether everything was taken over.
        package var success: Bool
        /// Models that LiteLLM lists.
        package var totalModels: Int
        /// Models that were new.
        package var newModels: Int
        /// Models that had changed.
        package var updatedModels: Int
        /// Models that became unavailable with this run.
        package var unavailableModels: Int
        /// Sentences about what could not be taken over, or was doubted.
        package var errors: [String]
        /// When it was stored, by the database's clock.
        package var syncedAt: Date
    }

    /// Complete listings in a row without a model before it counts as gone.
    private static let absences = 2

    package static let name = "model.sync"
    package static let upstream: Upstream? = .litellmAdmin
    package static let isProbeSafe = true

    /// Writes every model anew, changed or not.
    package let forceUpdate: Bool
    /// Lets models go that LiteLLM no longer lists.
    package let markUnavailable: Bool

    package init(forceUpdate: Bool = false, markUnavailable: Bool = true) {
        self.forceUpdate = forceUpdate
        self.markUnavailable = markUnavailable
    }

    package var orderKey: String? { "model-catalogue" }
    package var uniqueKey: String? { "\(Self.name):\(forceUpdate):\(markUnavailable)" }

    package func run(in context: JobContext) async throws -> Output {
        let listed = try await context.litellm.models()
        return try await context.transaction { transaction in
            try await takeOver(listed, context, in: transaction)
        }
    }

    private func takeOver(
        _ listed: [LiteLLMDeployment], _ context: JobContext, in transaction: PostgresTransaction
    ) async throws -> Output {
        let models = PostgresModelStore()
        // Before anything else of them is read: whoever creates or deletes one meanwhile was first, or comes after this.
        _ = try await models.lock(Set(listed.map(\.name)).sorted(), in: transaction)
        let care = try await ModelCare(listed, in: transaction)
        let listing = ModelListing(care.believed)
        let known = try await models.all(in: transaction)
        guard !listing.names.isEmpty || !known.contains(where: { $0.availability == .available }) else {
            throw JobFailure.retryable(
                code: "model_list_empty", message: "LiteLLM lists no model at all, which is not believed.")
        }
        var changes = ModelChanges(from: known, to: listing, forced: forceUpdate)
        let isDoubtful = changes.isDoubtful(limit: context.services.settings.modelShrinkLimit, known: known)
        var problems = listing.problems + care.problems
        if isDoubtful {
            problems.append(
                "LiteLLM no longer lists \(changes.missing.count) known models; that many at once are not let go.")
        }
        // What is wanted is put right, not let go.
        changes.missing.removeAll(where: care.kept.contains)
        for problem in problems { context.logger.warning("model sync", metadata: ["problem": "\(problem)"]) }
        try await models.upsert(changes.added + changes.updated, in: transaction)
        try await models.markSeen(changes.seen, in: transaction)
        try await models.replaceDeployments(
            listing.deployments, isComplete: !isDoubtful && listing.problems.isEmpty, in: transaction)
        try await care.putRight(doubtful: isDoubtful, context, in: transaction)
        let gone =
            markUnavailable && !isDoubtful
            ? try await models.countAbsence(of: changes.missing, limit: Self.absences, in: transaction) : []
        try await follow(gone: gone, back: changes.back, context, in: transaction)
        return try await note(
            ModelSyncRecord(
                jobId: context.id, success: problems.isEmpty, total: listing.names.count, added: changes.added.count,
                updated: changes.updated.count, unavailable: gone.count, problems: problems),
            in: transaction)
    }

    private func follow(
        gone: [String], back: [String], _ context: JobContext, in transaction: PostgresTransaction
    ) async throws {
        let retirement = ModelRetirement(queue: context.services.queue)
        for id in gone {
            let job = try await retirement.plan(
                id, after: context.services.settings.modelRetirementGrace, requester: context.requester,
                in: transaction)
            try await PostgresAuditStore().append(
                AuditEntry(
                    actor: .system, action: "MODEL_MARKED_UNAVAILABLE", resourceType: "model", resourceId: id,
                    jobId: context.id, metadata: ["retirementJob": .string(String(job.id))]),
                in: transaction)
        }
        for id in back {
            try await retirement.takeBack(id, by: .system, jobId: context.id, in: transaction)
        }
    }

    private func note(_ record: ModelSyncRecord, in transaction: PostgresTransaction) async throws -> Output {
        let finishedAt = try await PostgresModelStore().record(record, in: transaction)
        return Output(
            success: record.success, totalModels: record.total, newModels: record.added,
            updatedModels: record.updated, unavailableModels: record.unavailable, errors: record.problems,
            syncedAt: finishedAt)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        let record = ModelSyncRecord(
            jobId: end.jobId, success: false, total: 0, added: 0, updated: 0, unavailable: 0,
            problems: [end.error.message])
        _ = try await PostgresModelStore().record(record, in: transaction)
    }
}
