import Foundation
import Logging
package import Shared

/// Makes LiteLLM's deployment of a model what its specification says, or deletes it there. Goes by what is wanted at the
/// time it runs and reads back what LiteLLM does.
package struct ModelApply: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The public name.
        package var modelId: String
        /// `present`, `absent`, or `unmanaged` when nothing is wanted any more.
        package var state: String
        /// Whether this attempt made the deployment.
        package var created = false
        /// The fields that were changed.
        package var changed: [String] = []
        /// The deployments that were deleted.
        package var deleted: [String] = []
        /// Deployments that LiteLLM's database does not have and yet a replica lists.
        package var stale: [String] = []
    }

    package static let name = "model.apply"
    package static let upstream: Upstream? = .litellmAdmin
    package static let timeout: Duration = .seconds(300)

    /// The public name.
    package let modelId: String
    /// Whether it only looks again, later, for what a create that was held up may have done after the deletion.
    package let isSecondLook: Bool

    package init(modelId: String, isSecondLook: Bool = false) {
        self.modelId = modelId
        self.isSecondLook = isSecondLook
    }

    package var orderKey: String? { "model:\(modelId)" }
    package var uniqueKey: String? { "\(Self.name)\(isSecondLook ? ".again" : ""):\(modelId)" }

    package func run(in context: JobContext) async throws -> Output {
        let deployment = ModelProvisioning(modelId: modelId, context: context)
        guard let wanted = try await PostgresModelSpecStore().find(modelId, in: context.services.database) else {
            return try await deployment.deleteStrays()
        }
        switch wanted.wanted {
        case .present: return try await deployment.ensure(wanted)
        case .absent: return try await deployment.remove(wanted)
        }
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresModelSpecStore().markFailed(
            modelId, error: SyncError(end), jobId: end.jobId, in: transaction)
        try await end.audit("MODEL_PROVISION_FAILED", about: "model", modelId, in: transaction)
    }

    package func retried(jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await PostgresModelSpecStore().expectSync(modelId, by: jobId, in: transaction)
    }

    package func discarded(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresModelSpecStore().markFailed(
            modelId, error: SyncError(end), jobId: end.jobId, in: transaction)
    }
}
