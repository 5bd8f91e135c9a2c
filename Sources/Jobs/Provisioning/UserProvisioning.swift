package import Foundation
package import Shared

/// What the API asks for concerning users.
package struct UserProvisioning: Sendable {
    private let queue: JobQueue
    private let teamProvisioning: TeamProvisioning
    private let users = PostgresUserStore()
    private let teams = PostgresTeamStore()
    private let audit = PostgresAuditStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        self.queue = queue
        teamProvisioning = TeamProvisioning(queue: queue)
    }

    /// Stores a new user, a member of the default team, with the job that brings them into LiteLLM.
    ///
    /// - Throws: ``ProvisioningError`` when the name, address or identity is taken or a limit is malformed;
    ///   the transaction is then of no use.
    package func create(
        _ new: NewUser, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> (user: User, job: EnqueuedJob) {
        try new.limits.validate()
        let user: User
        do {
            user = try await users.insert(new, in: transaction)
        } catch let error as PostgresError where error.isUniqueViolation() {
            throw Self.taken(error.constraint)
        }
        try await teams.addMember(userId: user.id, teamId: Team.defaultId, in: transaction)
        let job = try await enqueue(user, requester: actor.requester, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "USER_CREATE", resourceType: "user", resourceId: user.id.text,
                newValues: [
                    "username": .string(user.username), "email": .string(user.email),
                    "roles": .array(user.roles.map { .string($0.rawValue) }),
                ], jobId: job.id),
            in: transaction)
        guard let stored = try await users.find(user.id, in: transaction) else { throw JobFailure.rowMissing("user") }
        return (stored, job)
    }

    /// Makes sure that a job brings the user into LiteLLM; nil when they are there already.
    ///
    /// - Returns: the job to wait for.
    /// - Throws: ``ProvisioningError`` `userNotFound`.
    package func ensure(
        _ id: UUID, requester: JobRequester, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob? {
        guard let user = try await users.lock(id, in: transaction) else {
            throw ProvisioningError(.userNotFound, "There is no such user.")
        }
        return try await ensure(user, requester: requester, in: transaction)
    }

    /// The same for a user whose row this transaction has locked.
    func ensure(
        _ user: User, requester: JobRequester, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob? {
        guard !user.sync.isSynced else { return nil }
        return try await enqueue(user, requester: requester, in: transaction)
    }

    private func enqueue(
        _ user: User, requester: JobRequester, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        var options = JobOptions()
        options.resource = JobResource(type: "user", id: user.id.text)
        options.requester = requester
        for team in try await teams.teams(ofUser: user.id, in: transaction) where !team.sync.isSynced {
            if let job = try await teamProvisioning.ensure(team.id, requester: requester, in: transaction) {
                options.dependsOn.append(job.id)
            }
        }
        let job = try await queue.enqueue(UserProvision(userId: user.id), options: options, in: transaction)
        try await users.expectSync(user.id, by: job.id, in: transaction)
        return job
    }

    private static func taken(_ constraint: String?) -> ProvisioningError {
        switch constraint {
        case "users_username":
            ProvisioningError(.usernameTaken, "There is a user with this name already.", field: "username")
        case "users_email":
            ProvisioningError(.emailTaken, "There is a user with this e-mail address already.", field: "email")
        default:
            ProvisioningError(.identityTaken, "There is a user with this identity already.")
        }
    }
}

extension SpendingLimits {
    /// Throws ``ProvisioningError`` `invalidLimit` for what LiteLLM would refuse.
    func validate() throws(ProvisioningError) {
        if let maxBudget, maxBudget < 0 || maxBudget.isNaN {
            throw ProvisioningError(.invalidLimit, "A budget cannot be negative.", field: "maxBudget")
        }
        if let budgetDuration, BudgetDuration.litellm(budgetDuration) == nil {
            throw ProvisioningError(
                .invalidLimit, "A budget's period is \(BudgetDuration.form).", field: "budgetDuration",
                values: [budgetDuration])
        }
        if let tpmLimit, tpmLimit < 0 {
            throw ProvisioningError(.invalidLimit, "A limit cannot be negative.", field: "tpmLimit")
        }
        if let rpmLimit, rpmLimit < 0 {
            throw ProvisioningError(.invalidLimit, "A limit cannot be negative.", field: "rpmLimit")
        }
    }
}
