package import Foundation
package import Shared

/// Deletes LiteLLM's team of a team that is out of use. LiteLLM deletes the team's keys with it, so nothing happens
/// while one of them works, or is not ours.
package struct TeamDelete: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The team's row.
        package var teamId: String
        /// False when LiteLLM did not have the team.
        package var wasThere: Bool
    }

    package static let name = "team.delete"
    package static let upstream: Upstream? = .litellmAdmin
    /// Keys of one page, and pages that are looked at.
    private static let page = 100
    private static let pages = 20

    /// The team's row.
    package let teamId: UUID

    package init(teamId: UUID) {
        self.teamId = teamId
    }

    package var orderKey: String? { "team:\(teamId.text)" }
    package var uniqueKey: String? { "\(Self.name):\(teamId.text)" }

    package func run(in context: JobContext) async throws -> Output {
        let teams = PostgresTeamStore()
        guard let team = try await teams.find(teamId, in: context.services.database) else {
            throw JobFailure.rowMissing("team")
        }
        guard !team.isActive else {
            throw JobFailure.permanent(code: "team_in_use", message: "Team \(teamId.text) is in use.")
        }
        let found = try await context.litellm.team(id: teamId.text)
        if let found {
            try await check(found, context)
            _ = try await context.litellm.deleteTeam(id: teamId.text)
            guard try await context.litellm.team(id: teamId.text) == nil else {
                throw JobFailure.retryable(
                    code: "not_gone_yet", message: "LiteLLM was told to delete the team, but shows it still.")
            }
        }
        let output = Output(teamId: teamId.text, wasThere: found != nil)
        try await context.transaction { transaction in
            try await teams.markSynced(
                teamId, version: team.sync.versionWanted, jobId: context.id, in: transaction)
            guard !team.sync.isSynced else { return }
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "TEAM_REMOVED", resourceType: "team", resourceId: teamId.text,
                    newValues: ["wasThere": .bool(output.wasThere)], jobId: context.id),
                in: transaction)
        }
        return output
    }

    /// Throws a conflict, for a person to decide, when more would go than what is ours and revoked.
    private func check(_ team: LiteLLMTeam, _ context: JobContext) async throws {
        guard let marker = team.marker, marker.resource == .team, marker.id == teamId.text else {
            throw JobFailure.conflict(
                code: "team_not_ours", message: "LiteLLM's team \(teamId.text) does not carry our marker.")
        }
        // A key may have been asked for while the team was being deleted.
        let live = try await PostgresAPIKeyStore().liveNames(inTeam: teamId, limit: 10, in: context.services.database)
        guard live.isEmpty else {
            throw JobFailure.conflict(
                code: "team_has_keys",
                message: "The team has live API keys: \(live.joined(separator: ", ")). Revoke them and retry.")
        }
        for number in 1...Self.pages {
            let page = try await context.litellm.listKeys(page: number, size: Self.page, teamId: teamId.text)
            guard page.keys.allSatisfy({ $0.marker?.resource == .key }) else {
                throw JobFailure.conflict(
                    code: "team_has_foreign_keys",
                    message: "LiteLLM's team \(teamId.text) has keys that were not made here; move or delete them.")
            }
            if number >= page.totalPages { return }
        }
        throw JobFailure.conflict(
            code: "team_has_too_many_keys",
            message: "LiteLLM's team has more than \(Self.page * Self.pages) keys; delete some there and retry.")
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresTeamStore().markFailed(
            teamId, error: SyncError(end), jobId: end.jobId, in: transaction)
        try await end.audit("TEAM_REMOVE_FAILED", about: "team", teamId, in: transaction)
    }

    package func retried(jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await PostgresTeamStore().expectSync(teamId, by: jobId, in: transaction)
    }

    package func discarded(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresTeamStore().markFailed(
            teamId, error: SyncError(end), jobId: end.jobId, in: transaction)
    }
}
