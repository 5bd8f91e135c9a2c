import Foundation
import Jobs
import Shared

/// A subscription as clients see it: with its model, and how far LiteLLM agrees with the keys that name it.
struct SubscriptionView: ResourceBody, JSONRepresentable {
    let subscription: Subscription
    let model: Model
    let extras: SubscriptionExtras
    let now: Date
    var keyJobs: [KeyJob] = []

    func write(to json: inout JSONWriter) {
        json.object { json in writeMembers(to: &json) }
    }

    func writeMembers(to json: inout JSONWriter) {
        writeState(to: &json)
        writeQuotas(to: &json)
        writePrices(to: &json)
        writeModel(to: &json)
        json.member("syncStatus", extras.keySync.rawValue)
        json.member("keyJobs", keyJobs.isEmpty ? nil : keyJobs.map { KeyJobView(job: $0) })
    }

    private func writeState(to json: inout JSONWriter) {
        json.member("id", subscription.id)
        json.member("userId", subscription.userId)
        json.member("modelId", subscription.modelId)
        json.member("modelName", model.id)
        json.member("provider", model.model.provider)
        json.member("status", subscription.status.rawValue)
        json.member("statusCause", subscription.cause)
        json.member("statusReason", subscription.reason)
        json.member("statusChangedAt", subscription.statusChangedAt)
        json.member("statusChangedBy", subscription.statusChangedBy)
        json.member("expiresAt", subscription.expiresAt)
        json.member("metadata", subscription.metadata)
        json.member("createdAt", subscription.createdAt)
        json.member("updatedAt", subscription.updatedAt)
    }

    private func writeQuotas(to json: inout JSONWriter) {
        let (quotas, used) = (subscription.quotas, subscription.used)
        json.member("quotaRequests", quotas.requests)
        json.member("quotaTokens", quotas.tokens)
        json.member("usedRequests", used.requests)
        json.member("usedTokens", used.tokens)
        json.member("remainingRequests", max(0, quotas.requests - used.requests))
        json.member("remainingTokens", max(0, quotas.tokens - used.tokens))
        let (requests, tokens) = (
            subscription.requestUtilization.inPercent, subscription.tokenUtilization.inPercent
        )
        json.member("utilizationPercent") { json in
            json.member("requests", requests)
            json.member("tokens", tokens)
        }
        json.member("requestUtilization", requests)
        json.member("tokenUtilization", tokens)
        json.member("usageTakenAt", subscription.usageTakenAt)
        json.member("resetAt", subscription.resetAt)
    }

    private func writePrices(to json: inout JSONWriter) {
        json.member("inputCostPerToken", model.model.inputCostPerToken)
        json.member("outputCostPerToken", model.model.outputCostPerToken)
        json.member("pricing") { json in
            json.member("inputCostPerToken", model.model.inputCostPerToken)
            json.member("outputCostPerToken", model.model.outputCostPerToken)
        }
        json.member("estimatedMonthlyCost", BillingMonth(containing: now).projected(extras.monthSpend, at: now))
    }

    private func writeModel(to json: inout JSONWriter) {
        json.member("modelDescription", model.description)
        json.member("modelContextLength", model.model.contextLength)
        json.member("contextLength", model.model.contextLength)
        json.member("modelSupportsVision", model.model.supportsVision)
        json.member("modelSupportsFunctionCalling", model.model.supportsFunctionCalling)
        json.member("modelSupportsParallelFunctionCalling", model.model.supportsParallelFunctionCalling)
        json.member("modelSupportsToolChoice", model.model.supportsToolChoice)
        json.member("features", model.model.features)
        json.member("restrictedAccess", model.restrictedAccess)
    }
}

extension Double {
    /// With two decimals.
    var inPercent: Double { (self * 10_000).rounded() / 100 }
}

/// A month in UTC, as quotas and costs are counted.
struct BillingMonth: Sendable {
    let start: UTCDay
    /// The first of the next one.
    let end: UTCDay

    init(containing date: Date) {
        var day = UTCDay(containing: date)
        while !day.description.hasSuffix("-01") { day = day.previous }
        start = day
        repeat { day = day.next } while !day.description.hasSuffix("-01")
        end = day
    }

    /// What a month costs in which `spend` was spent until now, if it goes on like this.
    func projected(_ spend: Decimal, at now: Date) -> Double {
        let elapsed = max(now.timeIntervalSince(start.start), 3600)
        let whole = end.start.timeIntervalSince(start.start)
        return (NSDecimalNumber(decimal: spend).doubleValue * whole / elapsed * 1e6).rounded() / 1e6
    }
}

/// Loads what goes with subscriptions.
struct SubscriptionPresenter: Sendable {
    private let store = PostgresSubscriptionStore()
    private let models = PostgresModelStore()

    /// In the same order.
    func views(
        of subscriptions: [Subscription], in executor: any PostgresExecutor
    ) async throws -> [SubscriptionView] {
        let extras = try await store.extras(of: subscriptions.map(\.id), in: executor)
        let found = try await models.find(Set(subscriptions.map(\.modelId)).sorted(), in: executor)
        let known = Dictionary(uniqueKeysWithValues: found.map { ($0.id, $0) })
        let now = Date()
        return subscriptions.compactMap { subscription in
            known[subscription.modelId].map {
                SubscriptionView(
                    subscription: subscription, model: $0,
                    extras: extras[subscription.id] ?? .none, now: now)
            }
        }
    }

    /// A change's answer.
    func view(
        of changed: ChangedSubscription, in executor: any PostgresExecutor
    ) async throws -> SubscriptionView {
        guard var view = try await views(of: [changed.subscription], in: executor).first else {
            throw APIError.notFound("subscription", id: changed.subscription.id.text)
        }
        view.keyJobs = changed.keyJobs
        return view
    }
}

extension [KeyJob] {
    /// The job that a client follows; nil when no key is affected.
    func firstView(at time: Date) -> JobView? {
        first.map { first in
            let resource = JobResource(type: "api_key", id: first.keyId.text)
            return JobView(first.job, KeyAccess.self, resource: resource, at: time)
        }
    }
}
