package import Foundation
package import Shared

/// Makes LiteLLM's team what our row says.
package struct TeamEnsure: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The team's row.
        package var teamId: String
        /// False when LiteLLM had the team already.
        package var created: Bool
        /// The fields that were changed.
        package var changed: [String]
    }

    package static let name = "team.ensure"
    package static let upstream: Upstream? = .litellmAdmin

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
        let litellm = context.litellm
        var output = Output(teamId: teamId.text, created: false, changed: [])
        var found = try await litellm.team(id: teamId.text)
        if found == nil {
            do {
                try await litellm.createTeam(team.litellmSpec(intent: context.id))
                output.created = true
            } catch let error as LiteLLMError where error.code == LiteLLMError.Code.teamExists {
                // Made by an attempt before this one, or by a process beside it: the id is ours either way.
            }
            found = try await litellm.team(id: teamId.text)
        }
        if let differing = found.flatMap({ team.litellmChange(of: $0, intent: context.id) }) {
            try await litellm.updateTeam(id: teamId.text, differing.change)
            output.changed = differing.fields
            found = try await litellm.team(id: teamId.text)
        }
        guard let found else { throw JobFailure.notReadable("team") }
        if let remaining = team.litellmChange(of: found, intent: context.id) {
            throw JobFailure.notTaken("team", fields: remaining.fields)
        }
        let done = output
        try await context.transaction { transaction in
            try await teams.markSynced(
                teamId, version: team.sync.versionWanted, jobId: context.id, in: transaction)
            // An attempt after one whose end was not noted finds everything done, and written down.
            guard !team.sync.isSynced || done.created || !done.changed.isEmpty else { return }
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "TEAM_PROVISIONED", resourceType: "team",
                    resourceId: teamId.text,
                    newValues: [
                        "version": .int(Int(team.sync.versionWanted)), "created": .bool(done.created),
                        "changed": .array(done.changed.map(JSONValue.string)),
                    ], jobId: context.id),
                in: transaction)
        }
        return output
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresTeamStore().markFailed(
            teamId, error: SyncError(end), jobId: end.jobId, in: transaction)
        try await end.audit("TEAM_PROVISION_FAILED", about: "team", teamId, in: transaction)
    }

    package func retried(jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await PostgresTeamStore().expectSync(teamId, by: jobId, in: transaction)
    }

    package func discarded(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresTeamStore().markFailed(
            teamId, error: SyncError(end), jobId: end.jobId, in: transaction)
    }
}
