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
        let models = PostgresModelStore()
        let listing = ModelListing(try await context.litellm.models())
        let known = try await models.all(in: context.services.database)
        guard !listing.names.isEmpty || !known.contains(where: { $0.availability == .available }) else {
            throw JobFailure.retryable(
                code: "model_list_empty", message: "LiteLLM lists no model at all, which is not believed.")
        }
        let changes = ModelChanges(from: known, to: listing, forced: forceUpdate)
        let isDoubtful = changes.isDoubtful(limit: context.services.settings.modelShrinkLimit, known: known)
        var problems = listing.problems
        if isDoubtful {
            problems.append(
                "LiteLLM no longer lists \(changes.missing.count) known models; that many at once are not let go.")
        }
        for problem in problems { context.logger.warning("model sync", metadata: ["problem": "\(problem)"]) }
        let retires = markUnavailable && !isDoubtful
        return try await context.transaction { [problems] transaction in
            try await store(
                listing, changes, problems: problems, retires: retires, isDoubtful: isDoubtful, jobId: context.id,
                in: transaction)
        }
    }

    private func store(
        _ listing: ModelListing, _ changes: ModelChanges, problems: [String], retires: Bool, isDoubtful: Bool,
        jobId: Int64, in transaction: PostgresTransaction
    ) async throws -> Output {
        let models = PostgresModelStore()
        try await models.upsert(changes.added + changes.updated, in: transaction)
        try await models.markSeen(changes.seen, in: transaction)
        try await models.replaceDeployments(
            listing.deployments, isComplete: !isDoubtful && listing.problems.isEmpty, in: transaction)
        let gone =
            retires
            ? try await models.countAbsence(of: changes.missing, limit: Self.absences, in: transaction) : []
        for id in gone {
            try await PostgresAuditStore().append(
                AuditEntry(
                    actor: .system, action: "MODEL_MARKED_UNAVAILABLE", resourceType: "model", resourceId: id,
                    jobId: jobId),
                in: transaction)
        }
        let record = ModelSyncRecord(
            jobId: jobId, success: problems.isEmpty, total: listing.names.count, added: changes.added.count,
            updated: changes.updated.count, unavailable: gone.count, problems: problems)
        let finishedAt = try await models.record(record, in: transaction)
        return Output(
            success: record.success, totalModels: record.total, newModels: record.added,
            updatedModels: record.updated, unavailableModels: record.unavailable, errors: problems,
            syncedAt: finishedAt)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        let record = ModelSyncRecord(
            jobId: end.jobId, success: false, total: 0, added: 0, updated: 0, unavailable: 0,
            problems: [end.error.message])
        _ = try await PostgresModelStore().record(record, in: transaction)
    }
}
