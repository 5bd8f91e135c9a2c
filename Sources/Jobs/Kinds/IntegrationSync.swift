package import Foundation
import Shared

/// Brings everything to LiteLLM again that it may lack, takes over what it tells, and compares the rest: one job for
/// each object. Some may fail.
package struct IntegrationSync: JobKind {
    /// What became of one part.
    package struct Count: Codable, Sendable, Equatable {
        /// Objects that were to be synchronised.
        package var total = 0
        /// Those that were.
        package var synced = 0
        /// Those that were not.
        package var errors = 0

        package init() {}
    }

    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// By part: `teams`, `users`, `subscriptions`, `apiKeys`, `models`; only those that were asked for.
        package var results: [String: Count]
        /// The comparison that was made at the end; nil for one user or team.
        package var reconciliationJobId: String?
        /// Whether nothing went wrong.
        package var success: Bool
        /// Parts of which there was more than one job does.
        package var truncated: [String]
    }

    package static let name = "integration.sync"
    /// Objects of a part.
    static let limit = 5000

    package let forceSync: Bool
    package let syncUsers: Bool
    package let syncTeams: Bool
    package let syncSubscriptions: Bool
    package let syncApiKeys: Bool
    package let syncModels: Bool
    package let userId: UUID?
    package let teamId: UUID?

    package init(
        forceSync: Bool = false, syncUsers: Bool = true, syncTeams: Bool = true, syncSubscriptions: Bool = true,
        syncApiKeys: Bool = true, syncModels: Bool = true, userId: UUID? = nil, teamId: UUID? = nil
    ) {
        self.forceSync = forceSync
        self.syncUsers = syncUsers
        self.syncTeams = syncTeams
        self.syncSubscriptions = syncSubscriptions
        self.syncApiKeys = syncApiKeys
        self.syncModels = syncModels
        self.userId = userId
        self.teamId = teamId
    }

    /// Whether it is about all of LiteLLM.
    private var isWhole: Bool { userId == nil && teamId == nil }

    // A unique key is not for parents: one that is put back beside a newer one would end, and its children with it.
    package var orderKey: String? { "integration-sync" }

    package func run(in context: JobContext) async throws -> Output {
        if try await context.children() != nil { return try await report(context) }
        if try await PostgresFamilyStore().find(parent: context.id, in: context.services.database) == nil {
            try await context.transaction { try await begin(context, in: $0) }
        }
        guard try await PostgresFamilyStore().find(parent: context.id, in: context.services.database) != nil else {
            return Output(results: empty, reconciliationJobId: nil, success: true, truncated: [])
        }
        throw JobWaitForChildren(.someMayFail)
    }

    // MARK: Children

    /// Puts all children in at once, so that an attempt after a crash finds all of them or none.
    private func begin(_ context: JobContext, in transaction: PostgresTransaction) async throws {
        let extent = PostgresSyncListStore.Extent(
            isForced: forceSync, userId: userId, teamId: teamId, limit: Self.limit)
        let lists = PostgresSyncListStore()
        if syncTeams {
            let ids = try await lists.teams(extent, in: transaction)
            let jobs = try await context.addChildren(
                ids.map(TeamEnsure.init), resource: { JobResource(type: "team", id: $0.teamId.text) }, in: transaction)
            for (id, job) in zip(ids, jobs) {
                try await PostgresTeamStore().expectSync(id, by: job.id, in: transaction)
            }
        }
        if syncUsers {
            let ids = try await lists.users(extent, in: transaction)
            let jobs = try await context.addChildren(
                ids.map(UserProvision.init), resource: { JobResource(type: "user", id: $0.userId.text) },
                in: transaction)
            for (id, job) in zip(ids, jobs) {
                try await PostgresUserStore().expectSync(id, by: job.id, in: transaction)
            }
        }
        try await beginKeys(extent, context, in: transaction)
        if isWhole {
            if syncModels { try await context.addChildren([ModelSync(forceUpdate: forceSync)], in: transaction) }
            try await context.addChildren([ReconcileOrphans()], in: transaction)
        }
    }

    private func beginKeys(
        _ extent: PostgresSyncListStore.Extent, _ context: JobContext, in transaction: PostgresTransaction
    ) async throws {
        let resource = { (id: UUID) in JobResource(type: "api_key", id: id.text) }
        let ids = try await PostgresSyncListStore().keys(extent, in: transaction)
        if syncSubscriptions {
            try await context.addChildren(
                ids.map { KeyAccess(keyId: $0) }, resource: { resource($0.keyId) }, in: transaction)
        }
        guard syncApiKeys else { return }
        let jobs = try await context.addChildren(
            ids.map(KeyUpdate.init), resource: { resource($0.keyId) }, in: transaction)
        for (id, job) in zip(ids, jobs) {
            try await PostgresAPIKeyStore().expectSync(id, by: job.id, in: transaction)
            try await PostgresAPIKeyStore().expectAccess(id, by: job.id, in: transaction)
        }
        if isWhole { try await context.addChildren([KeysSnapshot()], in: transaction) }
    }

    // MARK: Results

    private static let parts = [
        TeamEnsure.name: "teams", UserProvision.name: "users", KeyAccess.name: "subscriptions",
        KeyUpdate.name: "apiKeys", KeysSnapshot.name: "apiKeys", ModelSync.name: "models",
    ]

    private var empty: [String: Count] {
        let asked = [
            "users": syncUsers, "teams": syncTeams, "subscriptions": syncSubscriptions, "apiKeys": syncApiKeys,
            "models": syncModels && isWhole,
        ]
        return asked.filter(\.value).mapValues { _ in Count() }
    }

    private func report(_ context: JobContext) async throws -> Output {
        var output = Output(results: empty, reconciliationJobId: nil, success: true, truncated: [])
        var jobs: [String: Int] = [:]
        var last = Int64(0)
        while true {
            let page = try await context.services.queue.children(of: context.id, after: last, limit: 500)
            for child in page {
                jobs[child.kind, default: 0] += 1
                if child.state != .succeeded { output.success = false }
                if child.kind == ReconcileOrphans.name { output.reconciliationJobId = String(child.id) }
                guard let part = Self.parts[child.kind] else { continue }
                count(child, in: &output.results[part, default: Count()])
            }
            guard let next = page.last?.id else { break }
            last = next
        }
        output.truncated = Set(jobs.filter { $0.value >= Self.limit }.compactMap { Self.parts[$0.key] }).sorted()
        return output
    }

    private func count(_ child: JobSnapshot, in count: inout Count) {
        guard child.state == .succeeded else {
            count.total += 1
            count.errors += 1
            return
        }
        switch child.kind {
        case KeysSnapshot.name:
            let updated = child.result?["updated"]?.intValue ?? 0
            count.total += updated
            count.synced += updated
        case ModelSync.name:
            let total = child.result?["totalModels"]?.intValue ?? 0
            let errors = child.result?["errors"]?.arrayValue?.count ?? 0
            count.total += total
            count.errors += errors
            count.synced += max(0, total - errors)
        default:
            count.total += 1
            count.synced += 1
        }
    }
}
