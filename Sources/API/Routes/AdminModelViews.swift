import Foundation
import Jobs
import Shared

extension ChangedModel {
    /// The job that carries the change on.
    var view: JobView? {
        guard let job else { return nil }
        let resource = JobResource(type: "model", id: model.id)
        return kind == ModelCascade.self
            ? JobView(job, ModelCascade.self, resource: resource, at: model.updatedAt)
            : JobView(job, ModelApply.self, resource: resource, at: model.updatedAt)
    }
}

/// A model after an administrator's change, in LiteMaaS's shape and how far LiteLLM agrees.
struct AdminModelView: ResourceBody {
    let model: Model
    let managed: ManagedModel?
    let message: String

    func writeMembers(to json: inout JSONWriter) {
        json.member("success", true)
        json.member("message", message)
        json.member("model") { json in
            json.member("id", model.id)
            json.member("model_name", model.id)
            json.member("description", model.description)
            json.member("restrictedAccess", model.restrictedAccess)
            json.member("isActive", model.availability == .available)
            json.member("created_at", model.createdAt)
            json.member("updated_at", max(model.updatedAt, managed?.updatedAt ?? model.updatedAt))
        }
        json.member("syncStatus", managed?.sync.status.rawValue)
        json.member("syncError", managed?.sync.error.map { SyncErrorView(error: $0) })
    }
}

/// What goes with a model, and when: now, before it happens.
struct RetirementView: JSONRepresentable {
    let model: Model
    let plan: ModelRetirementPlan?
    let job: JobSnapshot?
    let impact: ModelRetirementImpact
    let page: PageRequest

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("modelId", model.id)
            json.member("availability", model.availability.rawValue)
            json.member("isPlanned", plan != nil)
            json.member("dueAt", plan?.dueAt)
            json.member("jobId", plan.map { String($0.jobId) })
            json.member("jobState", job?.state.rawValue)
            json.member("subscriptions") { json in
                json.member("total", impact.subscriptions.total)
                json.member("data", impact.subscriptions.items.map { SubscriptionItem(item: $0) })
            }
            json.member("keys") { json in write(impact.keys, to: &json) }
            json.member("keysWithoutModels") { json in write(impact.emptyKeys, to: &json) }
            json.member("page", page.number)
            json.member("limit", page.size)
        }
    }

    private func write(_ keys: Page<LosingKey>, to json: inout JSONWriter) {
        json.member("total", keys.total)
        json.member("data", keys.items.map { KeyItem(item: $0) })
    }

    private struct SubscriptionItem: JSONRepresentable {
        let item: LosingSubscription

        func write(to json: inout JSONWriter) {
            json.object { json in
                json.member("id", item.id)
                json.member("userId", item.userId)
                json.member("username", item.username)
                json.member("status", item.status)
            }
        }
    }

    private struct KeyItem: JSONRepresentable {
        let item: LosingKey

        func write(to json: inout JSONWriter) {
            json.object { json in
                json.member("id", item.id)
                json.member("userId", item.userId)
                json.member("name", item.name)
                json.member("keyPrefix", item.prefix)
                json.member("modelsLeft", item.modelsLeft)
            }
        }
    }
}

/// A retirement that will not happen.
struct UndoneRetirementView: ResourceBody {
    let modelId: String
    let plan: ModelRetirementPlan
    let undoneAt: Date

    func writeMembers(to json: inout JSONWriter) {
        json.member("message", "The retirement was undone; the model stays unavailable until LiteLLM lists it again")
        json.member("modelId", modelId)
        json.member("jobId", String(plan.jobId))
        json.member("undoneAt", undoneAt)
    }
}
