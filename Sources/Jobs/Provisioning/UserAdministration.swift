package import Foundation
package import Shared

/// A user after a change, and the jobs that carry it to LiteLLM.
package struct ChangedUser: Sendable {
    /// As they are wanted now.
    package let user: User
    /// When they were deactivated; nil while they are active.
    package let deactivatedAt: Date?
    /// Brings LiteLLM's user up to date; nil when LiteLLM need not hear of the change.
    package let job: EnqueuedJob?
    /// One for each live key that LiteLLM is to refuse or to take again.
    package let keyJobs: [KeyJob]
}

/// What administrators, and people themselves, change about users: the row, sessions, jobs and the audit entry in one
/// transaction.
package struct UserAdministration: Sendable {
    let queue: JobQueue
    let provisioning: UserProvisioning
    private let grants: KeyGrants
    let users = PostgresUserStore()
    private let sessions = PostgresSessionStore()
    let audit = PostgresAuditStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        self.queue = queue
        provisioning = UserProvisioning(queue: queue)
        grants = KeyGrants(queue: queue)
    }

    /// Changes a user. Asking for what is so already changes nothing, but puts the jobs for the keys in again when
    /// `isActive` is named.
    ///
    /// - Parameters:
    ///   - action: how the audit log names it; deactivating and reactivating have names of their own.
    ///   - roles: those that the actor may give and take.
    /// - Throws: ``ProvisioningError`` `userNotFound`, `ownAccount`, `lastAdmin`, `roleBeyondOwn`, `invalidLimit`.
    package func change(
        _ id: UUID, _ change: UserChange, action: String, giving roles: Set<Role>, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> ChangedUser {
        guard id != User.systemId, let user = try await users.lock(id, in: transaction) else {
            throw ProvisioningError(.userNotFound, "There is no such user.")
        }
        let wanted = change.applied(to: user)
        if wanted.limits != user.limits { try wanted.limits.validate() }
        guard Set(user.roles).symmetricDifference(wanted.roles).isSubset(of: roles) else {
            throw ProvisioningError(
                .roleBeyondOwn, "Nobody gives or takes a role that allows more than they may themselves.",
                field: "roles")
        }
        try await check(user, wanted, by: actor, in: transaction)

        let reachesLiteLLM = Self.reachesLiteLLM(user, wanted)
        let isChange = wanted != user
        if isChange {
            _ = try await users.store(
                wanted, setsRoles: wanted.roles != user.roles, reachesLiteLLM: reachesLiteLLM, in: transaction)
        }
        if !wanted.isActive, change.isActive != nil {
            _ = try await sessions.revoke(of: id, reason: "user_deactivated", in: transaction)
        }
        let keyJobs =
            change.isActive == nil
            ? [] : try await grants.refresh(allOf: id, requester: actor.requester, in: transaction)
        guard let stored = try await users.find(id, in: transaction) else { throw JobFailure.rowMissing("user") }
        let job =
            reachesLiteLLM ? try await provisioning.ensure(stored, requester: actor.requester, in: transaction) : nil
        if isChange {
            try await audit.append(
                entry(user, stored, action: action, by: actor, job: job, keyJobs: keyJobs), in: transaction)
        }
        return ChangedUser(
            user: try await users.find(id, in: transaction) ?? stored,
            deactivatedAt: try await users.deactivatedAt(id, in: transaction), job: job, keyJobs: keyJobs)
    }

    // MARK: Rules

    private func check(
        _ user: User, _ wanted: User, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws {
        let losesRole = user.roles.contains(.admin) && !wanted.roles.contains(.admin)
        let isDeactivated = user.isActive && !wanted.isActive
        guard losesRole || isDeactivated else { return }
        if actor.userId == user.id {
            throw losesRole
                ? ProvisioningError(
                    .ownAccount, "Nobody can take the role admin from themselves; ask another admin.", field: "roles")
                : ProvisioningError(
                    .ownAccount, "Nobody can deactivate themselves; ask another admin.", field: "isActive")
        }
        guard user.isActive, user.roles.contains(.admin) else { return }
        guard try await users.countOtherAdmins(than: user.id, in: transaction) > 0 else {
            throw ProvisioningError(
                .lastAdmin, "This is the last active admin; make somebody else an admin first.",
                field: losesRole ? "roles" : "isActive")
        }
    }

    private static func reachesLiteLLM(_ user: User, _ wanted: User) -> Bool {
        user.fullName != wanted.fullName || user.roles != wanted.roles || user.limits != wanted.limits
            || (wanted.isActive && !user.isActive)
    }

    // MARK: Audit

    private func entry(
        _ old: User, _ new: User, action: String, by actor: AuditActor, job: EnqueuedJob?,
        keyJobs: [KeyJob]
    ) -> AuditEntry {
        var name = action
        if old.isActive != new.isActive { name = new.isActive ? "USER_REACTIVATE" : "USER_DEACTIVATE" }
        var (before, after) = (Self.audited(old), Self.audited(new))
        for (member, value) in before where after[member] == value {
            before[member] = nil
            after[member] = nil
        }
        let jobIds = keyJobs.map { JSONValue.string(String($0.job.id)) }
        return AuditEntry(
            actor: actor, action: name, resourceType: "user", resourceId: new.id.text, oldValues: .object(before),
            newValues: .object(after), jobId: job?.id ?? keyJobs.first?.job.id,
            metadata: jobIds.isEmpty ? [:] : ["keyJobs": .array(jobIds)])
    }

    private static func audited(_ user: User) -> [String: JSONValue] {
        [
            "fullName": user.fullName.map(JSONValue.string) ?? .null,
            "roles": .array(user.roles.map { .string($0.rawValue) }), "isActive": .bool(user.isActive),
        ].merging(user.limits.audited) { first, _ in first }
    }
}
