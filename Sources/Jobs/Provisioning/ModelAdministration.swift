import Foundation
package import Shared

/// A model after a change, and the job that carries it on.
package struct ChangedModel: Sendable {
    /// The row as it is now.
    package let model: Model
    /// What is wanted of it; nil for one that is not kept here.
    package let managed: ManagedModel?
    /// Nil when only what is ours has changed.
    package let job: EnqueuedJob?
    /// The job's kind.
    package let kind: any JobKind.Type
}

/// What administrators change about models: rows, the sealed key, jobs and the audit entry in one transaction.
package struct ModelAdministration: Sendable {
    private let queue: JobQueue
    private let sealer: Sealer
    private let models = PostgresModelStore()
    private let specs = PostgresModelSpecStore()
    private let secrets = PostgresSealedSecretStore()
    private let audit = PostgresAuditStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue, sealer: Sealer) {
        self.queue = queue
        self.sealer = sealer
    }

    // MARK: Create

    /// Stores a new model and the job that creates it in LiteLLM.
    ///
    /// - Throws: ``ProvisioningError`` `modelExists`, `modelConflict`; `SealerError`.
    package func create(
        _ request: NewModel, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> ChangedModel {
        let id = request.modelId
        try await models.reserve(id, provider: request.provider, in: transaction)
        guard let row = try await models.lock(id, in: transaction) else { throw JobFailure.rowMissing("model") }
        if let known = try await specs.find(id, in: transaction) {
            guard known.wanted == .present else { throw Self.isLeaving(known) }
            throw ProvisioningError(.modelExists, "There is a model named \(id) already.", field: "model_name")
        }
        guard row.availability == .unavailable else {
            throw ProvisioningError(
                .modelExists, "LiteLLM has a model named \(id) already; change it with PUT, or in LiteLLM.",
                field: "model_name")
        }
        try await models.set(
            description: FieldChange(desired: request.description), restrictedAccess: request.restrictedAccess,
            of: id, in: transaction)
        try await specs.insert(
            id, deploymentId: UUID().text, isAdopted: false, spec: request.spec, hasKey: request.apiKey != nil,
            in: transaction)
        try await keep(request.apiKey, of: id, in: transaction)
        let job = try await apply(id, by: actor, in: transaction)
        let changed = try await state(of: id, job, ModelApply.self, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "MODEL_CREATE", resourceType: "model", resourceId: id,
                newValues: .object(Self.audited(changed)), jobId: job.id), in: transaction)
        return changed
    }

    // MARK: Change

    /// Changes a model. What only we know is changed of any; anything else of those that are kept here, and of those of
    /// which LiteLLM's database has exactly one deployment, which is adopted.
    ///
    /// - Throws: ``ProvisioningError`` `modelNotFound`, `modelConflict`, `invalidModel`; `SealerError`.
    package func change(
        _ id: String, _ change: ModelChange, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> ChangedModel {
        guard let row = try await models.lock(id, in: transaction), row.deletedAt == nil else {
            throw ProvisioningError(.modelNotFound, "There is no such model.")
        }
        let known = try await specs.find(id, in: transaction)
        if let known, known.wanted == .absent { throw Self.isLeaving(known) }
        let before = Self.audited(ChangedModel(model: row, managed: known, job: nil, kind: ModelApply.self))
        var jobs: [(job: EnqueuedJob, kind: any JobKind.Type)] = []
        if change.reachesLiteLLM {
            try await store(change, of: id, known: known, in: transaction)
            jobs.append((try await apply(id, by: actor, in: transaction), ModelApply.self))
        }
        let restricted = change.restrictedAccess ?? row.restrictedAccess
        if change.description != .keep || restricted != row.restrictedAccess {
            try await models.set(
                description: change.description, restrictedAccess: restricted, of: id, in: transaction)
        }
        if restricted != row.restrictedAccess {
            let cascade = ModelCascade(modelId: id, cause: .restriction)
            jobs.append(
                (
                    try await queue.enqueue(cascade, options: options(id, actor), in: transaction),
                    ModelCascade.self
                ))
        }
        let changed = try await state(
            of: id, jobs.first?.job, jobs.first?.kind ?? ModelApply.self, in: transaction)
        var (old, new) = (before, Self.audited(changed))
        for (member, value) in old where new[member] == value {
            old[member] = nil
            new[member] = nil
        }
        if change.apiKey != nil { new["apiKey"] = "replaced" }
        try await audit.append(
            AuditEntry(
                actor: actor, action: "MODEL_UPDATE", resourceType: "model", resourceId: id, oldValues: .object(old),
                newValues: .object(new), jobId: jobs.first?.job.id,
                metadata: ["jobs": .array(jobs.map { .string(String($0.job.id)) })]), in: transaction)
        return changed
    }

    private func store(
        _ change: ModelChange, of id: String, known: ManagedModel?, in transaction: PostgresTransaction
    ) async throws {
        var spec = known?.spec ?? ModelSpec()
        var deploymentId = known?.deploymentId
        var adopted: ModelDeployment?
        if known == nil {
            let deployment = try await adoptable(id, in: transaction)
            adopted = deployment
            deploymentId = deployment.id
            spec.apiBase = try await models.find(id, in: transaction)?.model.apiBase
        }
        let old = spec
        try change.apply(to: &spec, adopted: adopted)
        // LiteLLM would show the provider's key to whoever is at the new address.
        if spec.apiBase != old.apiBase, change.apiKey == nil, known?.hasKey ?? true || known?.isAdopted ?? true {
            throw ProvisioningError(
                .invalidModel, "must be sent again with another api_base: the stored key belongs to the old one",
                field: "api_key")
        }
        if known == nil, let deploymentId {
            try await specs.insert(
                id, deploymentId: deploymentId, isAdopted: true, spec: spec, hasKey: change.apiKey != nil,
                in: transaction)
        } else {
            try await specs.update(id, spec: spec, setsKey: change.apiKey != nil, in: transaction)
        }
        try await keep(change.apiKey, of: id, in: transaction)
    }

    private func adoptable(_ id: String, in transaction: PostgresTransaction) async throws -> ModelDeployment {
        let deployments = try await models.deployments(of: id, in: transaction)
        guard deployments.allSatisfy(\.isInDatabase), let deployment = deployments.first else {
            throw Self.isConfigured(id, deployments)
        }
        guard deployments.count == 1 else {
            throw ProvisioningError(
                .modelConflict, "LiteLLM has \(deployments.count) deployments of \(id); change them there.")
        }
        return deployment
    }

    // MARK: Delete

    /// Wants a model away: nobody can ask for it any more, and a job deletes it in LiteLLM. Asking again puts the job
    /// in again.
    ///
    /// - Throws: ``ProvisioningError`` `modelNotFound`, `modelConflict`.
    package func delete(
        _ id: String, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> ChangedModel {
        guard let row = try await models.lock(id, in: transaction), row.deletedAt == nil else {
            throw ProvisioningError(.modelNotFound, "There is no such model.")
        }
        let known = try await specs.find(id, in: transaction)
        if known != nil {
            try await specs.requestDelete(id, in: transaction)
        } else {
            let deployments = try await models.deployments(of: id, in: transaction)
            guard deployments.allSatisfy(\.isInDatabase), !deployments.isEmpty else {
                throw Self.isConfigured(id, deployments)
            }
            try await specs.insertDelete(id, deployments: deployments.map(\.id), in: transaction)
        }
        try await models.withdraw(id, in: transaction)
        let job = try await apply(id, by: actor, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "MODEL_DELETE", resourceType: "model", resourceId: id,
                oldValues: .object(
                    Self.audited(ChangedModel(model: row, managed: known, job: nil, kind: ModelApply.self))),
                jobId: job.id), in: transaction)
        return try await state(of: id, job, ModelApply.self, in: transaction)
    }

    // MARK: Parts

    private func apply(
        _ id: String, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        let job = try await queue.enqueue(ModelApply(modelId: id), options: options(id, actor), in: transaction)
        try await specs.expectSync(id, by: job.id, in: transaction)
        return job
    }

    private func options(_ id: String, _ actor: AuditActor) -> JobOptions {
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "model", id: id)
        return options
    }

    private func keep(_ key: Secret?, of id: String, in transaction: PostgresTransaction) async throws {
        guard let key else { return }
        let purpose = PostgresSealedSecretStore.Purpose.modelProviderKey
        let sealed = try sealer.seal(key, purpose: purpose.rawValue, rowId: id)
        try await secrets.put(sealed, for: purpose, rowId: id, in: transaction)
    }

    private func state(
        of id: String, _ job: EnqueuedJob?, _ kind: any JobKind.Type, in transaction: PostgresTransaction
    ) async throws -> ChangedModel {
        guard let model = try await models.find(id, in: transaction) else { throw JobFailure.rowMissing("model") }
        return ChangedModel(
            model: model, managed: try await specs.find(id, in: transaction), job: job, kind: kind)
    }

    private static func isLeaving(_ model: ManagedModel) -> ProvisioningError {
        let job = model.sync.lastJobId.map { " with job \($0)" } ?? ""
        return ProvisioningError(.modelConflict, "Model \(model.modelId) is being deleted\(job); wait for its end.")
    }

    private static func isConfigured(_ id: String, _ deployments: [ModelDeployment]) -> ProvisioningError {
        let place =
            deployments.isEmpty
            ? "LiteLLM does not list it now" : "it is in LiteLLM's configuration file; change it there"
        return ProvisioningError(.modelConflict, "Model \(id) is not kept here: \(place).")
    }

    /// What the audit log shows: never the key.
    private static func audited(_ changed: ChangedModel) -> [String: JSONValue] {
        func money(_ amount: Decimal?) -> JSONValue { amount.map { .string("\($0)") } ?? .null }
        var values: [String: JSONValue] = [
            "description": changed.model.description.map(JSONValue.string) ?? .null,
            "restrictedAccess": .bool(changed.model.restrictedAccess),
        ]
        guard let managed = changed.managed, let spec = managed.spec else { return values }
        values["deploymentId"] = .string(managed.deploymentId)
        values["model"] = spec.target.map(JSONValue.string) ?? .null
        values["apiBase"] = spec.apiBase.map(JSONValue.string) ?? .null
        values["inputCostPerToken"] = money(spec.inputCostPerToken)
        values["outputCostPerToken"] = money(spec.outputCostPerToken)
        values["tpm"] = spec.tpm.map(JSONValue.int) ?? .null
        values["rpm"] = spec.rpm.map(JSONValue.int) ?? .null
        values["maxTokens"] = spec.maxTokens.map(JSONValue.int) ?? .null
        values["capabilities"] = .object(spec.capabilities.mapValues(JSONValue.bool))
        return values
    }
}
