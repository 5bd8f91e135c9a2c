import Foundation
import Jobs
import Shared

/// A subscription with the person, the model and its newest history.
struct AdminSubscriptionView: JSONRepresentable {
    let view: SubscriptionView
    let owner: User?
    /// Newest first.
    let history: [SubscriptionHistoryEntry]
    /// Who stands in the history.
    let people: [UUID: User]

    func write(to json: inout JSONWriter) {
        json.object { json in
            view.writeMembers(to: &json)
            if let owner {
                json.member("user") { json in
                    json.member("id", owner.id)
                    json.member("username", owner.username)
                    json.member("email", owner.email)
                }
            }
            json.member("model") { json in
                json.member("id", view.model.id)
                json.member("name", view.model.id)
                json.member("provider", view.model.model.provider)
                json.member("restrictedAccess", view.model.restrictedAccess)
            }
            json.name("history")
            json.array(history) { json, entry in write(entry, to: &json) }
        }
    }

    private func write(_ entry: SubscriptionHistoryEntry, to json: inout JSONWriter) {
        json.object { json in
            json.member("id", String(entry.id))
            json.member("oldStatus", entry.oldStatus)
            json.member("newStatus", entry.newStatus)
            json.member("cause", entry.cause)
            json.member("reason", entry.reason)
            if let id = entry.changedBy {
                json.member("changedBy") { json in
                    json.member("id", id)
                    json.member("username", people[id]?.username)
                }
            }
            json.member("changedAt", entry.changedAt)
        }
    }
}

/// Loads what goes with subscriptions for administrators.
struct AdminSubscriptionPresenter: Sendable {
    /// How much of each history a list shows.
    private static let historyLimit = 10

    /// In the same order.
    func views(
        of subscriptions: [Subscription], in executor: any PostgresExecutor
    ) async throws -> [AdminSubscriptionView] {
        let views = try await SubscriptionPresenter().views(of: subscriptions, in: executor)
        let history = try await PostgresSubscriptionStore().history(
            of: subscriptions.map(\.id), limit: Self.historyLimit, in: executor)
        let ids = Set(subscriptions.map(\.userId) + history.compactMap(\.changedBy))
        let found = try await PostgresUserStore().find(Array(ids), in: executor)
        let people = Dictionary(uniqueKeysWithValues: found.map { ($0.id, $0) })
        let entries = Dictionary(grouping: history, by: \.subscriptionId)
        return views.map { view in
            AdminSubscriptionView(
                view: view, owner: people[view.subscription.userId], history: entries[view.subscription.id] ?? [],
                people: people)
        }
    }
}

/// What became of a decision about several subscriptions.
struct DecisionsView: ResourceBody {
    let results: [EachResult]

    /// The job that a client follows.
    var firstJobId: Int64? {
        results.lazy.flatMap(\.keyJobs).first.flatMap { $0["jobId"]?.stringValue }.flatMap { Int64($0) }
    }

    func writeMembers(to json: inout JSONWriter) {
        let failures = results.filter { $0.error != nil }
        json.member("successful", results.count - failures.count)
        json.member("failed", failures.count)
        json.name("errors")
        json.array(failures) { json, result in
            json.object { json in
                json.member("subscription", result.id)
                json.member("error", result.error?.message)
                json.member("code", result.error?.code.rawValue)
            }
        }
        let keyJobs = results.flatMap(\.keyJobs)
        if !keyJobs.isEmpty { json.member("keyJobs", JSONValue.array(keyJobs)) }
    }
}

/// That something was done.
struct DoneView: ResourceBody {
    let keyJobs: [KeyJob]

    func writeMembers(to json: inout JSONWriter) {
        json.member("success", true)
        json.member("keyJobs", keyJobs.isEmpty ? nil : keyJobs.map { KeyJobView(job: $0) })
    }
}

/// Whose use begins anew.
struct ResetQuotasView: ResourceBody {
    let count: Int
    let keyJobs: [KeyJob]

    func writeMembers(to json: inout JSONWriter) {
        json.member("message", "Quotas reset successfully")
        json.member("resetCount", count)
        json.member("keyJobs", keyJobs.isEmpty ? nil : keyJobs.map { KeyJobView(job: $0) })
    }
}
