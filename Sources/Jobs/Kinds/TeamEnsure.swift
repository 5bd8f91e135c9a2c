package import Foundation
package import Shared

/// Makes LiteLLM's team what our row says, with our members in it and without those who left. Members whom nobody of
/// ours put there stay, as do those of the default team: each user's own job puts them in.
package struct TeamEnsure: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The team's row.
        package var teamId: String
        /// False when LiteLLM had the team already.
        package var created = false
        /// The fields that were changed.
        package var changed: [String] = []
        /// Members put in; nil in reports of earlier versions.
        package var joined: Int? = 0
        /// Members taken out; nil in reports of earlier versions.
        package var left: Int? = 0

        var isChange: Bool { created || !changed.isEmpty || joined != 0 || left != 0 }
    }

    package static let name = "team.ensure"
    package static let upstream: Upstream? = .litellmAdmin
    /// Members that one attempt puts in or takes out; the next one goes on.
    private static let chunk = 100

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
        var output = Output(teamId: teamId.text)
        // A team out of use is none that LiteLLM should have.
        guard team.isActive else { return output }
        let found = try await ensure(team, context, &output)
        let departed = try await teams.departedIds(ofTeam: teamId, in: context.services.database)
        try await ensureMembers(of: found, departed: departed, context, &output)
        let done = output
        try await context.transaction { transaction in
            try await teams.markSynced(
                teamId, version: team.sync.versionWanted, jobId: context.id, in: transaction)
            try await teams.noteSpend(found.spend, of: teamId, in: transaction)
            try await teams.forgetDepartures(
                ofTeam: teamId, departed, version: team.sync.versionWanted, in: transaction)
            // An attempt after one whose end was not noted finds everything done, and written down.
            guard !team.sync.isSynced || done.isChange else { return }
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "TEAM_PROVISIONED", resourceType: "team",
                    resourceId: teamId.text,
                    newValues: [
                        "version": .int(Int(team.sync.versionWanted)), "created": .bool(done.created),
                        "changed": .array(done.changed.map(JSONValue.string)), "joined": .int(done.joined ?? 0),
                        "left": .int(done.left ?? 0),
                    ], jobId: context.id),
                in: transaction)
        }
        return output
    }

    /// The team itself, read back.
    private func ensure(_ team: Team, _ context: JobContext, _ output: inout Output) async throws -> LiteLLMTeam {
        let litellm = context.litellm
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
        return found
    }

    /// Brings members in and takes out who left, and reads the team back. Who was never in LiteLLM, or was given up,
    /// is put into all of their teams by their own job.
    private func ensureMembers(
        of team: LiteLLMTeam, departed: [UUID], _ context: JobContext, _ output: inout Output
    ) async throws {
        guard teamId != Team.defaultId else { return }
        let wanted = try await PostgresTeamStore().provisionedMemberIds(ofTeam: teamId, in: context.services.database)
        let (litellm, present) = (context.litellm, Set(team.members))
        let leaving = departed.filter { present.contains($0.text) }
        let joining = wanted.filter { !present.contains($0.text) }
        guard !leaving.isEmpty || !joining.isEmpty else { return }
        let (leavingNow, joiningNow) = (leaving.prefix(Self.chunk), joining.prefix(Self.chunk))
        var joined: [UUID] = []
        for userId in leavingNow where try await litellm.removeTeamMember(teamId: teamId.text, userId: userId.text) {
            output.left? += 1
        }
        for userId in joiningNow {
            // LiteLLM would make a user of whom it knows nothing but the id.
            guard try await litellm.user(id: userId.text) != nil else {
                try await context.transaction { try await context.noteLost(userId, in: $0) }
                continue
            }
            if try await litellm.addTeamMember(teamId: teamId.text, userId: userId.text) { output.joined? += 1 }
            joined.append(userId)
        }
        guard let after = try await litellm.team(id: teamId.text).map({ Set($0.members) }),
            joined.allSatisfy({ after.contains($0.text) }), !leavingNow.contains(where: { after.contains($0.text) })
        else { throw JobFailure.notReadable("team membership") }
        guard leavingNow.count == leaving.count, joiningNow.count == joining.count else {
            throw JobSnooze(for: .seconds(1), reason: "More members are to be brought in line.")
        }
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

extension JobContext {
    /// LiteLLM has lost a member: their own job brings them back, and into their teams.
    fileprivate func noteLost(_ userId: UUID, in transaction: PostgresTransaction) async throws {
        let users = PostgresUserStore()
        guard let user = try await users.lock(userId, in: transaction), user.sync.status != .failed else { return }
        var options = JobOptions()
        options.requester = requester
        options.resource = JobResource(type: "user", id: userId.text)
        let job = try await services.queue.enqueue(UserProvision(userId: userId), options: options, in: transaction)
        try await users.markDrifted(userId, by: job.id, in: transaction)
    }
}
