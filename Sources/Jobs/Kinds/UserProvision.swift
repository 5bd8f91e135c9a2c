package import Foundation
package import Shared

/// Makes LiteLLM's user what our row says, and a member of their teams.
package struct UserProvision: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The user's row.
        package var userId: String
        /// False when LiteLLM had the user already.
        package var created: Bool
        /// The fields that were changed.
        package var changed: [String]
        /// The teams that the user was put into.
        package var joinedTeams: [String]

        var isChange: Bool { created || !changed.isEmpty || !joinedTeams.isEmpty }
    }

    package static let name = "user.provision"
    package static let upstream: Upstream? = .litellmAdmin

    /// The user's row.
    package let userId: UUID

    package init(userId: UUID) {
        self.userId = userId
    }

    package var orderKey: String? { "user:\(userId.text)" }
    package var uniqueKey: String? { "\(Self.name):\(userId.text)" }

    package func run(in context: JobContext) async throws -> Output {
        let done = try await converge(context)
        try await context.transaction { try await store(done, context, in: $0) }
        return done.output
    }

    /// LiteLLM, read back, and the row that it agrees with.
    struct Done: Sendable {
        let user: User
        let teams: [Team]
        let output: Output
    }

    /// Makes LiteLLM's user what our row says, and puts them into their teams.
    func converge(_ context: JobContext) async throws -> Done {
        guard let user = try await PostgresUserStore().find(userId, in: context.services.database) else {
            throw JobFailure.rowMissing("user")
        }
        let teams = try await PostgresTeamStore().teams(ofUser: userId, in: context.services.database)
        var output = Output(userId: userId.text, created: false, changed: [], joinedTeams: [])
        try await ensure(user, context, &output)
        for team in teams where try await join(team.id, context) {
            output.joinedTeams.append(team.id.text)
        }
        return Done(user: user, teams: teams, output: output)
    }

    /// Notes that it is done.
    func store(_ done: Done, _ context: JobContext, in transaction: PostgresTransaction) async throws {
        let (user, output) = (done.user, done.output)
        try await PostgresUserStore().markSynced(
            userId, version: user.sync.versionWanted, jobId: context.id, in: transaction)
        try await leaveAgain(
            done.teams.filter { output.joinedTeams.contains($0.id.text) }, context, in: transaction)
        // An attempt after one whose end was not noted finds everything done, and written down.
        guard !user.sync.isSynced || output.isChange else { return }
        try await PostgresAuditStore().appendOutcome(
            AuditEntry(
                actor: context.auditActor, action: "USER_PROVISIONED", resourceType: "user",
                resourceId: userId.text,
                newValues: [
                    "version": .int(Int(user.sync.versionWanted)), "created": .bool(output.created),
                    "changed": .array(output.changed.map(JSONValue.string)),
                    "joinedTeams": .array(output.joinedTeams.map(JSONValue.string)),
                ], jobId: context.id),
            in: transaction)
    }

    private func ensure(_ user: User, _ context: JobContext, _ output: inout Output) async throws {
        let litellm = context.litellm
        var found = try await litellm.user(id: userId.text)
        if found == nil {
            do {
                try await litellm.createUser(user.litellmSpec(intent: context.id))
                output.created = true
            } catch let error as LiteLLMError where error.code == LiteLLMError.Code.userExists {
                try await checkEmail(of: user, context)
            }
            found = try await litellm.user(id: userId.text)
        }
        if let differing = found.flatMap({ user.litellmChange(of: $0, intent: context.id) }) {
            // LiteLLM would let two users share an address.
            if differing.change.email != nil { try await checkEmail(of: user, context) }
            try await litellm.updateUser(id: userId.text, differing.change)
            output.changed = differing.fields
            found = try await litellm.user(id: userId.text)
        }
        guard let found else { throw JobFailure.notReadable("user") }
        if let remaining = user.litellmChange(of: found, intent: context.id) {
            throw JobFailure.notTaken("user", fields: remaining.fields)
        }
    }

    /// Throws a conflict when LiteLLM knows the address under another id, and stores it for the person who decides.
    private func checkEmail(of user: User, _ context: JobContext) async throws {
        let litellm = context.litellm
        let others = try await litellm.userIds(email: user.litellmEmail).filter { $0 != userId.text }
        guard let other = others.sorted().first else { return }
        let conflict = UserConflict(
            litellmUserId: other, keyCount: try await litellm.listKeys(size: 1, userId: other).totalCount,
            foundAt: Date())
        try await context.transaction { transaction in
            try await PostgresUserStore().noteConflict(conflict, of: userId, in: transaction)
        }
        throw JobFailure.conflict(
            code: "user_email_taken",
            message: "LiteLLM knows the e-mail address of user \(userId.text) as that of its user \(other).")
    }

    /// False when the user was in the team already.
    private func join(_ teamId: UUID, _ context: JobContext) async throws -> Bool {
        let litellm = context.litellm
        guard let team = try await litellm.team(id: teamId.text) else {
            try await ensureTeam(teamId, context)
            throw JobFailure.retryable(
                code: "team_missing", message: "LiteLLM does not have team \(teamId.text); it is being created.",
                after: .seconds(1))
        }
        guard !team.members.contains(userId.text) else { return false }
        let joined = try await litellm.addTeamMember(teamId: teamId.text, userId: userId.text)
        guard try await litellm.team(id: teamId.text)?.members.contains(userId.text) == true else {
            throw JobFailure.notReadable("team membership")
        }
        return joined
    }

    /// Has the user taken out of teams that they left while this attempt was putting them in.
    private func leaveAgain(
        _ joined: [Team], _ context: JobContext, in transaction: PostgresTransaction
    ) async throws {
        let teams = PostgresTeamStore()
        for team in joined where !team.isDefault {
            guard try await teams.member(userId, ofTeam: team.id, in: transaction) == nil,
                try await teams.lock(team.id, in: transaction)?.isActive == true
            else { continue }
            try await teams.noteDeparture(userId: userId, teamId: team.id, in: transaction)
            try await teams.raiseVersion(team.id, in: transaction)
            _ = try await TeamProvisioning(queue: context.services.queue).enqueue(
                team.id, requester: context.requester, in: transaction)
        }
    }

    private func ensureTeam(_ teamId: UUID, _ context: JobContext) async throws {
        var options = JobOptions()
        options.requester = context.requester
        options.resource = JobResource(type: "team", id: teamId.text)
        let asked = options
        let teams = PostgresTeamStore()
        try await context.transaction { transaction in
            guard try await teams.lock(teamId, in: transaction)?.isActive == true else { return }
            let job = try await context.services.queue.enqueue(
                TeamEnsure(teamId: teamId), options: asked, in: transaction)
            try await teams.markDrifted(teamId, by: job.id, in: transaction)
        }
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresUserStore().markFailed(
            userId, error: SyncError(end), jobId: end.jobId, in: transaction)
        try await end.audit("USER_PROVISION_FAILED", about: "user", userId, in: transaction)
    }

    package func retried(jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await PostgresUserStore().expectSync(userId, by: jobId, in: transaction)
    }

    package func discarded(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresUserStore().markFailed(
            userId, error: SyncError(end), jobId: end.jobId, in: transaction)
    }
}
