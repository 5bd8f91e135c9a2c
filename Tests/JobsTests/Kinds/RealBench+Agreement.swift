import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// In what LiteLLM and our rows disagree, asked of both afresh.
extension RealBench {
    /// A team of its own that LiteLLM does not have yet.
    func addTeam() async throws -> UUID {
        let id = UUID()
        try await bench.database.query(
            """
            insert into teams (id, name, max_budget, budget_duration, tpm_limit)
            values (\(id), \("team \(id.text)"), 50, 'monthly', 1000)
            """)
        return id
    }

    func ensureTeam(_ id: UUID) async throws -> Int64 {
        let job = try await bench.database.withTransaction { transaction in
            try await TeamProvisioning(queue: bench.services.queue).ensure(
                id, requester: JobRequester(id: nil), in: transaction)
        }
        return try #require(job).id
    }

    /// - Parameter done: how often it was brought into line so far.
    func disagreements(ofTeam id: UUID, done: Int) async throws -> [String] {
        let row = try #require(try await PostgresTeamStore().find(id, in: bench.database))
        guard let found = try await litellm.team(id: id.text) else { return ["LiteLLM does not have the team"] }
        let audited = try await count("TEAM_PROVISIONED", "team", id)
        return Self.wrong([
            "marker": found.marker?.id == id.text,
            "fields": row.litellmChange(of: found, intent: 0) == nil,
            "row": row.sync.isSynced,
            "audit rows: \(audited)": audited == done,
        ])
    }

    func disagreements(ofUser id: UUID, done: Int) async throws -> [String] {
        let row = try #require(try await bench.users.find(id, in: bench.database))
        guard let found = try await litellm.user(id: id.text) else { return ["LiteLLM does not have the user"] }
        let members = try await litellm.team(id: Team.defaultId.text)?.members ?? []
        let audited = try await count("USER_PROVISIONED", "user", id)
        return Self.wrong([
            "marker": found.marker?.id == id.text,
            "fields": row.litellmChange(of: found, intent: 0) == nil,
            "a member once": members.count { $0 == id.text } == 1,
            "the address once": try await litellm.userIds(email: row.email) == [id.text],
            "row": row.sync.isSynced,
            "audit rows: \(audited)": audited == done,
        ])
    }

    /// - Parameter action: what the audit log has to hold exactly once.
    func disagreements(
        of created: CreatedKey, _ status: LiteLLMKey.Status, done action: String
    ) async throws -> [String] {
        let row = try await bench.row(created)
        let found = try await litellm.keyInfo(hash: created.key.hash)
        let live = try await litellm.listKeys(alias: created.key.alias).keys.filter { $0.alias == created.key.alias }
        let mine = try await litellm.listKeys(userId: row.userId.text).totalCount
        let audited = try await count(action, "api_key", row.id)
        let isBlocked = try await bench.keys.standing(row.id, in: bench.database)?.blockedAt != nil
        var checks = [
            "audit rows: \(audited)": audited == 1,
            "status: \(found?.status.rawValue ?? "absent")": (found?.status ?? .deleted) == status,
            "keys: \(live.count), \(mine)": live.count == mine && mine == (status == .deleted ? 0 : 1),
        ]
        if let found, status != .deleted {
            checks["marker"] = found.marker?.id == row.id.text
            checks["models"] = found.models == [model]
        }
        if row.isActive {
            checks["row"] = row.sync.isSynced && isBlocked == (status == .blocked)
            checks["fields"] = found.map { row.differences(from: $0).isEmpty } ?? false
        } else {
            checks["row"] = row.revokedAt != nil && (row.deletedAt != nil) == (status == .deleted)
        }
        return Self.wrong(checks)
    }

    /// Others may change LiteLLM's list meanwhile: then the job runs again.
    func disagreementsOfModels(_ jobId: Int64) async throws -> [String] {
        try await lasting(jobId) {
            let listed = Set(try await litellm.models().map(\.name))
            let models = try await PostgresModelStore().all(in: bench.database)
            let known = Set(models.filter { $0.availability == .available }.map(\.id))
            return listed == known ? [] : ["models: \(listed.symmetricDifference(known).sorted())"]
        }
    }

    /// Others may use LiteLLM meanwhile: then the job runs again.
    func disagreements(ofUsage day: UTCDay, _ jobId: Int64) async throws -> [String] {
        try await lasting(jobId) {
            let activity = try await litellm.dailyActivity(date: day.description)
            let now = UsageAggregation.day(day, from: activity, providers: [:], fetchedAt: Date(), grace: .zero)
            guard let stored = try await PostgresUsageStore().day(day, in: bench.database) else { return ["no day"] }
            return Self.wrong([
                "totals": stored.totals.isSame(as: now.totals),
                "sum of the parts": stored.entries.reduce(UsageTotals.zero) { $0 + $1.totals }.isSame(
                    as: stored.totals),
                "keys": Set(stored.entries.map(\.keyHash)) == Set(now.entries.map(\.keyHash)),
            ])
        }
    }

    /// Every call of the last hour that LiteLLM lists is stored once, with what it cost.
    func disagreementsOfRequests(_ jobId: Int64) async throws -> [String] {
        try await lasting(jobId) {
            let now = Date()
            var listed: [UsageLogEntry] = []
            var number = 1
            while true {
                let page = try await litellm.spendLogs(from: now - 3600, to: now, page: number)
                listed += page.entries
                guard number < page.totalPages else { break }
                number += 1
            }
            let rows = try await bench.database.query("select request_id, spend from usage_logs")
            let stored = try Dictionary(
                rows.map { try $0.decode(String.self, Decimal.self) }, uniquingKeysWith: { first, _ in first })
            let missing = listed.filter { entry in
                !(stored[entry.requestId].map { abs($0 - entry.spend) < Decimal(string: "0.000000001") ?? 0 } ?? false)
            }
            return missing.isEmpty ? [] : ["\(missing.count) of \(listed.count) calls"]
        }
    }

    /// What is still wrong when the job has run anew until a deadline.
    private func lasting(_ jobId: Int64, _ check: () async throws -> [String]) async throws -> [String] {
        let deadline = ContinuousClock.now + .seconds(30)
        var wrong = try await check()
        while !wrong.isEmpty, ContinuousClock.now < deadline {
            try await bench.attempt(jobId)
            wrong = try await check()
        }
        return wrong
    }

    static func wrong(_ checks: [String: Bool]) -> [String] {
        checks.filter { !$0.value }.keys.sorted()
    }

    private func count(_ action: String, _ type: String, _ id: UUID) async throws -> Int {
        try await PostgresAuditStore().entries(
            resourceType: type, resourceId: id.text, limit: 50, in: bench.database
        ).count { $0.action == action }
    }
}

extension UsageTotals {
    /// LiteLLM's sums of money are doubles with all their noise, ours have twelve decimals.
    fileprivate func isSame(as other: UsageTotals) -> Bool {
        var (mine, others) = (self, other)
        guard abs(mine.spend - others.spend) < Decimal(string: "0.000001") ?? 0 else { return false }
        mine.spend = 0
        others.spend = 0
        return mine == others
    }
}
