import Shared

/// What a listing of LiteLLM means for the models that are kept here, and for those that were deleted here.
struct ModelCare: Sendable {
    /// The listing without what is deleted, or to be.
    private(set) var believed: [LiteLLMDeployment] = []
    /// Models that LiteLLM is to have, whatever it lists.
    private(set) var kept: Set<String> = []
    /// Sentences about deployments that should not be there.
    private(set) var problems: [String] = []
    /// Models of which a deployment is listed that was deleted here.
    private var haunted: Set<String> = []
    /// Models whose deployment LiteLLM has lost or changed.
    private var drifted: [String] = []

    /// Reads what is wanted. The transaction holds the rows of the listed models.
    init(_ listed: [LiteLLMDeployment], in transaction: PostgresTransaction) async throws {
        let specs = PostgresModelSpecStore()
        let wanted = try await specs.all(in: transaction)
        let deleted = try await specs.deleted(among: listed.map(\.id), in: transaction)
        let leaving = Set(wanted.filter { $0.wanted == .absent }.map(\.modelId))
        for deployment in listed where !leaving.contains(deployment.name) {
            guard deployment.isInDatabase, deleted.contains(deployment.id) else {
                believed.append(deployment)
                continue
            }
            haunted.insert(deployment.name)
            problems.append(
                "Deployment \(deployment.id) of model \(deployment.name) was deleted here, but LiteLLM still lists it.")
        }
        let byId = Dictionary(listed.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        for model in wanted where model.wanted == .present {
            kept.insert(model.modelId)
            // For any other a job is on its way, or a person has to decide.
            guard model.sync.isSynced, let spec = model.spec else { continue }
            if byId[model.deploymentId].map({ model.differences(spec, from: $0).isEmpty }) != true {
                drifted.append(model.modelId)
            }
        }
    }

    /// Puts in the jobs that bring LiteLLM back into line. Nothing is concluded from what a doubtful listing lacks.
    func putRight(doubtful: Bool, _ context: JobContext, in transaction: PostgresTransaction) async throws {
        for id in haunted.sorted() { _ = try await enqueue(id, context, in: transaction) }
        guard !doubtful else { return }
        for id in drifted {
            let job = try await enqueue(id, context, in: transaction)
            try await PostgresModelSpecStore().markDrifted(id, by: job.id, in: transaction)
        }
    }

    private func enqueue(
        _ modelId: String, _ context: JobContext, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        var options = JobOptions()
        options.requester = context.requester
        options.resource = JobResource(type: "model", id: modelId)
        return try await context.services.queue.enqueue(
            ModelApply(modelId: modelId), options: options, in: transaction)
    }
}
