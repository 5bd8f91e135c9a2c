import Foundation
import Logging
import Shared

/// What ``ModelApply`` does to LiteLLM's deployments of one model.
struct ModelProvisioning: Sendable {
    let modelId: String
    let context: JobContext
    private let models = PostgresModelStore()
    private let specs = PostgresModelSpecStore()
    private let secrets = PostgresSealedSecretStore()

    init(modelId: String, context: JobContext) {
        self.modelId = modelId
        self.context = context
    }

    // MARK: Present

    /// Creates the deployment or changes what differs, and reads it back.
    func ensure(_ wanted: ManagedModel) async throws -> ModelApply.Output {
        guard let spec = wanted.spec else { throw JobFailure.rowMissing("model specification") }
        var output = ModelApply.Output(modelId: modelId, state: ModelWish.present.rawValue)
        output.deleted = try await clearTheWay(for: wanted)
        var found = try await deployment(wanted.deploymentId)
        if found == nil {
            try await create(wanted, spec)
            output.created = true
            found = try await context.litellm.model(id: wanted.deploymentId)
        }
        guard var deployment = found else { throw JobFailure.notReadable("model") }
        let sendsKey = wanted.isKeyPending && !output.created
        output.changed = wanted.differences(spec, from: deployment) + (sendsKey ? ["api_key"] : [])
        if !output.changed.isEmpty {
            let key = sendsKey ? try await providerKey() : nil
            try await context.litellm.updateModel(wanted.litellmSpec(spec, key: key, intent: context.id))
            guard let changed = try await context.litellm.model(id: wanted.deploymentId) else {
                throw JobFailure.notReadable("model")
            }
            deployment = changed
        }
        let remaining = wanted.differences(spec, from: deployment)
        guard remaining.isEmpty else { throw JobFailure.notTaken("model", fields: remaining) }
        try await noteSynced(wanted, deployment, output)
        return output
    }

    private func create(_ wanted: ManagedModel, _ spec: ModelSpec) async throws {
        guard spec.target != nil else {
            throw JobFailure.conflict(
                code: "adopted_model_gone",
                message: "LiteLLM no longer has deployment \(wanted.deploymentId), which was made there and adopted; "
                    + "delete the model here and create it anew.")
        }
        let key = wanted.hasKey ? try await providerKey() : nil
        do {
            try await context.litellm.createModel(wanted.litellmSpec(spec, key: key, intent: context.id))
        } catch let error as LiteLLMError where error.code == LiteLLMError.Code.modelExists {
            // Made by an attempt before this one: the id is ours.
        }
    }

    /// Sees to it that nobody else serves the name. Gives the deployments that had to go because they were deleted here
    /// before.
    private func clearTheWay(for wanted: ManagedModel) async throws -> [String] {
        let others = try await deployments().filter { $0.id != wanted.deploymentId }
        let strays = try await specs.deleted(among: others.map(\.id), in: context.services.database)
        if let foreign = others.first(where: { !strays.contains($0.id) }) {
            throw JobFailure.conflict(
                code: "model_name_taken",
                message: "LiteLLM serves \(modelId) with deployment \(foreign.id) of its "
                    + "\(foreign.isInDatabase ? "database" : "configuration file"), which was not made here, while "
                    + "deployment \(wanted.deploymentId) is wanted. Delete one of them.")
        }
        return try await delete(strays)
    }

    private func noteSynced(
        _ wanted: ManagedModel, _ deployment: LiteLLMDeployment, _ output: ModelApply.Output
    ) async throws {
        let listing = ModelListing([deployment])
        guard let model = listing.models.first, let row = listing.deployments.first else {
            throw JobFailure.permanent(
                code: "model_not_usable",
                message: listing.problems.first ?? "LiteLLM has the model switched off; switch it on there.")
        }
        try await context.transaction { transaction in
            let known = try await models.lock(modelId, in: transaction)
            try await specs.markSynced(
                modelId, version: wanted.sync.versionWanted, keyVersion: wanted.keyVersion, jobId: context.id,
                in: transaction)
            // Whoever wants it away meanwhile has made it unavailable.
            guard try await specs.find(modelId, in: transaction)?.wanted == .present else { return }
            if known?.model != model || known?.availability != .available {
                try await models.upsert([model], in: transaction)
            }
            try await models.setDeployment(row, in: transaction)
            try await ModelRetirement(queue: context.services.queue).takeBack(
                modelId, by: context.auditActor, jobId: context.id, in: transaction)
            // An attempt after one whose end was not noted finds everything done, and written down.
            guard !wanted.sync.isSynced || output.created || !output.changed.isEmpty else { return }
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "MODEL_PROVISIONED", resourceType: "model",
                    resourceId: modelId,
                    newValues: [
                        "version": .int(Int(wanted.sync.versionWanted)), "created": .bool(output.created),
                        "changed": .array(output.changed.map(JSONValue.string)),
                    ], jobId: context.id),
                in: transaction)
        }
    }

    private func providerKey() async throws -> Secret {
        let purpose = PostgresSealedSecretStore.Purpose.modelProviderKey
        guard let sealed = try await secrets.get(purpose, rowId: modelId, in: context.services.database) else {
            throw JobFailure.permanent(
                code: "secret_gone", message: "The provider's key is no longer kept; send api_key again.")
        }
        do {
            return try context.services.sealer.open(sealed, purpose: purpose.rawValue, rowId: modelId)
        } catch {
            throw JobFailure.permanent(code: "secret_\(error.code.rawValue)", message: error.message)
        }
    }

    // MARK: Absent

    /// Deletes every deployment that is ours or was adopted, and makes sure that LiteLLM's database has none.
    func remove(_ wanted: ManagedModel) async throws -> ModelApply.Output {
        let listed = try await deployments()
        let ours = listed.filter { $0.isInDatabase && $0.marker?.resource == .model && $0.marker?.id == modelId }
        let known = try await specs.deleted(of: modelId, in: context.services.database)
        let ids = known.union([wanted.deploymentId]).union(wanted.furtherIds).union(ours.map(\.id))
        var output = ModelApply.Output(modelId: modelId, state: ModelWish.absent.rawValue)
        // Those that are no longer listed are asked about too: a replica may not have heard of them yet.
        output.deleted = try await delete(ids.subtracting(known).union(known.intersection(listed.map(\.id))))
        let (stale, remaining) = try await readBack(without: ids)
        output.stale = stale
        try await noteRemoved(ids, output, remaining)
        return output
    }

    /// Deletes what was deleted here before and has come back: with a create that arrived late, for one.
    func deleteStrays() async throws -> ModelApply.Output {
        let known = try await specs.deleted(of: modelId, in: context.services.database)
        var output = ModelApply.Output(modelId: modelId, state: "unmanaged")
        guard !known.isEmpty else { return output }
        output.deleted = try await delete(known.intersection(try await deployments().map(\.id)))
        output.stale = try await readBack(without: known).stale
        return output
    }

    /// What is listed once none of `ids` is in LiteLLM's database: those that a replica still shows, and the others.
    private func readBack(without ids: Set<String>) async throws -> (stale: [String], others: [LiteLLMDeployment]) {
        for _ in 1...3 {
            let listed = try await deployments()
            let shown = Set(listed.map(\.id)).intersection(ids)
            // Replicas forget late, if at all; the database knows: there is nothing left to delete in it.
            if try await delete(shown).isEmpty {
                return (shown.sorted(), listed.filter { !ids.contains($0.id) })
            }
        }
        throw JobFailure.retryable(
            code: "not_deleted_yet", message: "LiteLLM was told to delete the model, but still has it.")
    }

    private func noteRemoved(
        _ ids: Set<String>, _ output: ModelApply.Output, _ remaining: [LiteLLMDeployment]
    ) async throws {
        var options = JobOptions()
        options.requester = context.requester
        options.resource = JobResource(type: "model", id: modelId)
        options.delay = context.services.settings.deleteGrace
        let later = options
        let listing = ModelListing(remaining)
        try await context.transaction { transaction in
            _ = try await models.lock(modelId, in: transaction)
            guard try await specs.find(modelId, in: transaction)?.wanted == .absent else { return }
            try await specs.remove(modelId, deployments: ids.sorted(), in: transaction)
            try await secrets.delete(.modelProviderKey, rowId: modelId, in: transaction)
            if listing.models.isEmpty {
                try await models.markDeleted(modelId, in: transaction)
                try await ModelRetirement(queue: context.services.queue).plan(
                    modelId, after: .zero, requester: context.requester, in: transaction)
            } else {
                // LiteLLM goes on serving the name, with deployments that were never ours.
                try await models.upsert(listing.models, in: transaction)
            }
            _ = try await context.services.queue.enqueue(
                ModelApply(modelId: modelId, isSecondLook: true), options: later, in: transaction)
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "MODEL_REMOVED", resourceType: "model", resourceId: modelId,
                    newValues: [
                        "deleted": .array(output.deleted.map(JSONValue.string)),
                        "stale": .array(output.stale.map(JSONValue.string)),
                    ], jobId: context.id),
                in: transaction)
        }
    }

    // MARK: LiteLLM

    /// Deletes these in LiteLLM's database; gives those that were there, sorted.
    private func delete(_ ids: Set<String>) async throws -> [String] {
        var deleted: [String] = []
        for id in ids.sorted() where try await context.litellm.deleteModel(id: id) { deleted.append(id) }
        return deleted
    }

    /// Every deployment of the name. A LiteLLM without any model has no list.
    private func deployments() async throws -> [LiteLLMDeployment] {
        do {
            return try await context.litellm.models().filter { $0.name == modelId }
        } catch let error as LiteLLMError where error.code == LiteLLMError.Code.modelsNotLoaded {
            return []
        }
    }

    private func deployment(_ id: String) async throws -> LiteLLMDeployment? {
        do {
            return try await context.litellm.model(id: id)
        } catch let error as LiteLLMError where error.code == LiteLLMError.Code.modelsNotLoaded {
            return nil
        }
    }
}
