package import Foundation
package import Shared

/// A team after a change, and the job that carries it to LiteLLM.
package struct ChangedTeam: Sendable {
    /// As it is wanted now.
    package let team: Team
    /// Nil when LiteLLM need not hear of the change.
    package let job: EnqueuedJob?
}

/// What people change about teams: rows, job and audit entry in one transaction.
package struct TeamAdministration: Sendable {
    /// How many keys a refusal names.
    private static let named = 10

    private let queue: JobQueue
    private let provisioning: TeamProvisioning
    private let userProvisioning: UserProvisioning
    private let teams = PostgresTeamStore()
    private let users = PostgresUserStore()
    private let models = PostgresModelStore()
    private let keys = PostgresAPIKeyStore()
    private let audit = PostgresAuditStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        self.queue = queue
        provisioning = TeamProvisioning(queue: queue)
        userProvisioning = UserProvisioning(queue: queue)
    }

    // MARK: Teams

    /// Stores a new team with its admins, and the job that makes it in LiteLLM.
    ///
    /// - Throws: ``ProvisioningError`` `teamNameTaken`, `invalidLimit`, `unknownModels`, `unknownUsers`; the transaction
    ///   is then of no use.
    package func create(
        _ new: NewTeam, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> ChangedTeam {
        try new.limits.validate()
        try await check(models: new.allowedModels, in: transaction)
        try await check(users: new.adminIds, field: "adminIds", in: transaction)
        let team = try await refusingTakenNames { try await teams.insert(new, by: actor.userId, in: transaction) }
        for userId in new.adminIds {
            try await teams.setMember(userId: userId, teamId: team.id, role: .admin, in: transaction)
        }
        var values = Self.audited(team)
        values["adminIds"] = .array(new.adminIds.map { .string($0.text) })
        let changed = try await carry(team.id, "TEAM_CREATE", new: .object(values), by: actor, in: transaction)
        for userId in new.adminIds { try await bringIn(userId, by: actor, in: transaction) }
        return changed
    }

    /// Changes a team. Asking for what is so already changes nothing.
    ///
    /// - Throws: ``ProvisioningError`` `teamNotFound`, `teamNameTaken`, `invalidLimit`, `unknownModels`.
    package func change(
        _ id: UUID, _ change: TeamChange, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> ChangedTeam {
        let team = try await locked(id, in: transaction)
        let wanted = change.applied(to: team)
        guard wanted != team else { return ChangedTeam(team: team, job: nil) }
        if wanted.limits != team.limits { try wanted.limits.validate() }
        if wanted.allowedModels != team.allowedModels {
            try await check(models: wanted.allowedModels, in: transaction)
        }
        let reachesLiteLLM =
            wanted.litellmAlias != team.litellmAlias || wanted.limits != team.limits
            || wanted.allowedModels != team.allowedModels
        _ = try await refusingTakenNames {
            try await teams.store(wanted, reachesLiteLLM: reachesLiteLLM, in: transaction)
        }
        var (before, after) = (Self.audited(team), Self.audited(wanted))
        for (member, value) in before where after[member] == value {
            before[member] = nil
            after[member] = nil
        }
        return try await carry(
            id, "TEAM_UPDATE", old: .object(before), new: .object(after), reachesLiteLLM: reachesLiteLLM, by: actor,
            in: transaction)
    }

    /// Takes a team out of use and stores the job that deletes it in LiteLLM. The row stays.
    ///
    /// - Throws: ``ProvisioningError`` `teamNotFound`, `defaultTeam`, `teamHasKeys`.
    package func delete(
        _ id: UUID, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> ChangedTeam {
        guard let team = try await teams.lockForDeletion(id, in: transaction), team.isActive else {
            throw Self.notFound
        }
        guard !team.isDefault else {
            throw ProvisioningError(.defaultTeam, "The default team is everybody's and cannot be deleted.")
        }
        let live = try await keys.liveNames(inTeam: id, limit: Self.named, in: transaction)
        guard live.isEmpty else {
            throw ProvisioningError(
                .teamHasKeys, "The team has live API keys: \(live.joined(separator: ", ")).", values: live)
        }
        var wanted = team
        wanted.isActive = false
        _ = try await teams.store(wanted, reachesLiteLLM: true, in: transaction)
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "team", id: id.text)
        let job = try await queue.enqueue(TeamDelete(teamId: id), options: options, in: transaction)
        try await teams.expectSync(id, by: job.id, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "TEAM_DELETE", resourceType: "team", resourceId: id.text,
                oldValues: ["isActive": true], newValues: ["isActive": false], jobId: job.id),
            in: transaction)
        return ChangedTeam(team: try await stored(id, in: transaction), job: job)
    }

    /// Has LiteLLM's team compared with ours again, whether or not it is thought to be right.
    ///
    /// - Throws: ``ProvisioningError`` `teamNotFound`.
    package func sync(
        _ id: UUID, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> ChangedTeam {
        _ = try await locked(id, in: transaction)
        let job = try await provisioning.enqueue(id, requester: actor.requester, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "TEAM_SYNC", resourceType: "team", resourceId: id.text, jobId: job.id),
            in: transaction)
        return ChangedTeam(team: try await stored(id, in: transaction), job: job)
    }

    // MARK: Members

    /// Puts a user into a team, or gives a member another role, of which LiteLLM does not hear.
    ///
    /// - Parameter onlyMembers: whether only somebody who is a member already is meant.
    /// - Throws: ``ProvisioningError`` `teamNotFound`, `defaultTeam`, `unknownUsers`, `memberNotFound`.
    package func setMember(
        _ userId: UUID, of id: UUID, role: TeamRole, onlyMembers: Bool, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> ChangedTeam {
        let unknown =
            onlyMembers
            ? Self.noMember
            : ProvisioningError(.unknownUsers, "There is no such user.", field: "userId", values: [userId.text])
        let before = try await member(userId, of: id, otherwise: unknown, in: transaction)
        guard before != nil || !onlyMembers else { throw Self.noMember }
        guard before?.role != role else { return ChangedTeam(team: try await stored(id, in: transaction), job: nil) }
        try await teams.setMember(userId: userId, teamId: id, role: role, in: transaction)
        let isNew = before == nil
        if isNew { try await teams.raiseVersion(id, in: transaction) }
        let changed = try await carry(
            id, isNew ? "TEAM_MEMBER_ADD" : "TEAM_MEMBER_ROLE_UPDATE",
            old: before.map { ["userId": .string(userId.text), "role": .string($0.role.rawValue)] },
            new: ["userId": .string(userId.text), "role": .string(role.rawValue)], reachesLiteLLM: isNew, by: actor,
            in: transaction)
        if isNew { try await bringIn(userId, by: actor, in: transaction) }
        return changed
    }

    /// Whoever is not in LiteLLM yet gets there, and into the team, by a job of their own. One that is under way may have
    /// read their teams before this one was among them: another follows it.
    private func bringIn(_ userId: UUID, by actor: AuditActor, in transaction: PostgresTransaction) async throws {
        _ = try await userProvisioning.ensure(userId, requester: actor.requester, in: transaction)
    }

    /// Takes a member out of a team.
    ///
    /// - Throws: ``ProvisioningError`` `teamNotFound`, `defaultTeam`, `memberNotFound`, `memberHasKeys`.
    package func removeMember(
        _ userId: UUID, of id: UUID, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> ChangedTeam {
        guard let member = try await member(userId, of: id, otherwise: Self.noMember, in: transaction) else {
            throw Self.noMember
        }
        let live = try await keys.liveNames(inTeam: id, ofUser: userId, limit: Self.named, in: transaction)
        guard live.isEmpty else {
            throw ProvisioningError(
                .memberHasKeys, "The member has live API keys of this team: \(live.joined(separator: ", ")).",
                values: live)
        }
        try await teams.removeMember(userId: userId, teamId: id, in: transaction)
        try await teams.raiseVersion(id, in: transaction)
        return try await carry(
            id, "TEAM_MEMBER_REMOVE",
            old: ["userId": .string(userId.text), "role": .string(member.role.rawValue)], by: actor, in: transaction)
    }

    /// A user's part in a team. Locks the user first, as everybody does who makes a key for them, then the team.
    private func member(
        _ userId: UUID, of id: UUID, otherwise unknown: ProvisioningError, in transaction: PostgresTransaction
    ) async throws -> TeamMember? {
        guard userId != User.systemId, try await users.lock(userId, in: transaction) != nil else { throw unknown }
        guard !(try await locked(id, in: transaction)).isDefault else {
            throw ProvisioningError(
                .defaultTeam, "Everybody is a member of the default team, in no special role, and nobody leaves it.")
        }
        return try await teams.member(userId, ofTeam: id, in: transaction)
    }

    // MARK: Parts

    /// The job that carries a change to LiteLLM, and the audit entry.
    private func carry(
        _ id: UUID, _ action: String, old: JSONValue? = nil, new: JSONValue? = nil, reachesLiteLLM: Bool = true,
        by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> ChangedTeam {
        let job =
            reachesLiteLLM ? try await provisioning.enqueue(id, requester: actor.requester, in: transaction) : nil
        try await audit.append(
            AuditEntry(
                actor: actor, action: action, resourceType: "team", resourceId: id.text, oldValues: old, newValues: new,
                jobId: job?.id),
            in: transaction)
        return ChangedTeam(team: try await stored(id, in: transaction), job: job)
    }

    private func locked(_ id: UUID, in transaction: PostgresTransaction) async throws -> Team {
        guard let team = try await teams.lock(id, in: transaction), team.isActive else { throw Self.notFound }
        return team
    }

    private func stored(_ id: UUID, in transaction: PostgresTransaction) async throws -> Team {
        guard let team = try await teams.find(id, in: transaction) else { throw JobFailure.rowMissing("team") }
        return team
    }

    private func check(models ids: [String], in transaction: PostgresTransaction) async throws {
        let unknown = Set(ids).subtracting(try await models.find(ids, in: transaction).map(\.id)).sorted()
        guard unknown.isEmpty else {
            throw ProvisioningError(
                .unknownModels, "There is no model \(unknown.joined(separator: ", ")).", field: "allowedModels",
                values: unknown)
        }
    }

    private func check(users ids: [UUID], field: String, in transaction: PostgresTransaction) async throws {
        var known: Set<UUID> = []
        // Locked, and before the team: by id, so that two who name the same people do not wait for each other.
        for id in Set(ids).subtracting([User.systemId]).sorted(by: { $0.text < $1.text }) {
            if try await users.lock(id, in: transaction) != nil { known.insert(id) }
        }
        let unknown = Set(ids).subtracting(known).map(\.text).sorted()
        guard unknown.isEmpty else {
            throw ProvisioningError(
                .unknownUsers, "There is no user \(unknown.joined(separator: ", ")).", field: field, values: unknown)
        }
    }

    private func refusingTakenNames<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch let error as PostgresError where error.isUniqueViolation("teams_name") {
            throw ProvisioningError(.teamNameTaken, "There is a team with this name already.", field: "name")
        }
    }

    private static var notFound: ProvisioningError { ProvisioningError(.teamNotFound, "There is no such team.") }

    private static var noMember: ProvisioningError {
        ProvisioningError(.memberNotFound, "This user is no member of the team.")
    }

    private static func audited(_ team: Team) -> [String: JSONValue] {
        [
            "name": .string(team.name), "alias": team.alias.map(JSONValue.string) ?? .null,
            "description": team.description.map(JSONValue.string) ?? .null,
            "allowedModels": .array(team.allowedModels.map(JSONValue.string)),
        ].merging(team.limits.audited) { first, _ in first }
    }
}

extension SpendingLimits {
    /// As the audit log shows them.
    var audited: [String: JSONValue] {
        [
            "maxBudget": maxBudget.map { .double(NSDecimalNumber(decimal: $0).doubleValue) } ?? .null,
            "budgetDuration": budgetDuration.map(JSONValue.string) ?? .null,
            "tpmLimit": tpmLimit.map(JSONValue.int) ?? .null, "rpmLimit": rpmLimit.map(JSONValue.int) ?? .null,
        ]
    }
}
