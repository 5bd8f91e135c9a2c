package import Foundation
package import Shared

/// What becomes of LiteLLM's other user with a person's address.
package enum RealignAction: String, Codable, Sendable, CaseIterable {
    /// Its keys go to the person's user, and it loses the address.
    case adopt
    /// It stays as it is; the person's user goes without the address in LiteLLM.
    case separate
}

/// Decides conflicts about addresses: the row, job and audit entry in one transaction.
package struct UserRealignment: Sendable {
    private let queue: JobQueue
    private let provisioning: UserProvisioning
    private let users = PostgresUserStore()
    private let audit = PostgresAuditStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        self.queue = queue
        provisioning = UserProvisioning(queue: queue)
    }

    /// Carries a person's decision out.
    ///
    /// - Throws: ``ProvisioningError`` `userNotFound`, `noConflict`.
    package func decide(
        _ action: RealignAction, for id: UUID, reason: String, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> (user: User, job: EnqueuedJob) {
        let (user, conflict) = try await conflict(of: id, in: transaction)
        let job: EnqueuedJob
        switch action {
        case .adopt:
            // Whoever first decided otherwise gets the address back.
            if user.hasSeparateEmail { try await users.setSeparateEmail(false, of: id, in: transaction) }
            job = try await queue.enqueue(
                UserRealign(userId: id, litellmUserId: conflict.litellmUserId), options: options(id, actor),
                in: transaction)
            try await users.expectSync(id, by: job.id, in: transaction)
        case .separate:
            try await users.setSeparateEmail(true, of: id, in: transaction)
            job = try await provisioning.enqueue(user, requester: actor.requester, in: transaction)
        }
        try await audit.append(
            AuditEntry(
                actor: actor, action: "USER_REALIGN", resourceType: "user", resourceId: id.text,
                newValues: [
                    "action": .string(action.rawValue), "litellmUserId": .string(conflict.litellmUserId),
                    "reason": .string(reason),
                ], jobId: job.id),
            in: transaction)
        guard let stored = try await users.find(id, in: transaction) else { throw JobFailure.rowMissing("user") }
        return (stored, job)
    }

    /// A job that looks at both users and reports what the decision would change.
    ///
    /// - Throws: ``ProvisioningError`` `userNotFound`, `noConflict`.
    package func preview(
        _ action: RealignAction, for id: UUID, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        let (_, conflict) = try await conflict(of: id, in: transaction)
        let job = UserRealignPreview(userId: id, litellmUserId: conflict.litellmUserId, action: action)
        return try await queue.enqueue(job, options: options(id, actor), in: transaction)
    }

    /// The conflict of a user whose row is locked here.
    private func conflict(
        of id: UUID, in transaction: PostgresTransaction
    ) async throws -> (user: User, conflict: UserConflict) {
        guard id != User.systemId, let user = try await users.lock(id, in: transaction) else {
            throw ProvisioningError(.userNotFound, "There is no such user.")
        }
        guard let conflict = try await users.conflict(of: id, in: transaction) else {
            throw ProvisioningError(.noConflict, "LiteLLM does not know this user's address under another id.")
        }
        return (user, conflict)
    }

    private func options(_ id: UUID, _ actor: AuditActor) -> JobOptions {
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "user", id: id.text)
        return options
    }
}

/// A person's user in LiteLLM, the other one with their address, and that one's keys.
struct RealignSides: Sendable {
    private static let page = 100
    private static let pages = 10

    let user: User
    /// Nil while LiteLLM does not have it.
    let ours: LiteLLMUser?
    /// Nil when it is gone.
    let foreign: LiteLLMUser?
    /// Keys that would go over.
    let movable: [LiteLLMKey]
    /// Keys that we made for somebody else, which stay.
    let kept: [LiteLLMKey]

    /// What the other user has instead of the address: it still reaches the person.
    var foreignEmail: String {
        PlusAddress.make(user.email, tag: "litellm-\(sha256Hex(foreign?.id ?? "").prefix(8))")
    }

    /// Whether the other user has the address.
    var foreignHasEmail: Bool { foreign?.email?.lowercased() == user.email.lowercased() }

    /// Reads both sides.
    ///
    /// - Throws: ``JobFailure`` of the class conflict when the other user is one that we made for somebody else, or has
    ///   more keys than are looked at.
    static func read(_ userId: UUID, _ foreignId: String, _ context: JobContext) async throws -> RealignSides {
        let database = context.services.database
        let users = PostgresUserStore()
        guard let user = try await users.find(userId, in: database) else { throw JobFailure.rowMissing("user") }
        let foreign = try await context.litellm.user(id: foreignId)
        if let marker = foreign?.marker, marker.resource == .user, let id = UUID(uuidString: marker.id), id != userId,
            try await users.find(id, in: database) != nil
        {
            throw JobFailure.conflict(
                code: "user_is_ours", message: "LiteLLM's user \(foreignId) belongs to user \(marker.id) of LiteMaaS.")
        }
        var (movable, kept): ([LiteLLMKey], [LiteLLMKey]) = ([], [])
        for key in foreign == nil ? [] : try await keys(of: foreignId, context.litellm) {
            if try await isSomebodyElses(key, userId, database) { kept.append(key) } else { movable.append(key) }
        }
        return RealignSides(
            user: user, ours: try await context.litellm.user(id: userId.text), foreign: foreign, movable: movable,
            kept: kept)
    }

    private static func keys(of userId: String, _ litellm: LiteLLMClient) async throws -> [LiteLLMKey] {
        var keys: [LiteLLMKey] = []
        for number in 1...pages {
            let found = try await litellm.listKeys(page: number, size: page, userId: userId)
            keys += found.keys
            if number >= found.totalPages { return keys }
        }
        throw JobFailure.conflict(
            code: "too_many_keys",
            message: "LiteLLM's user \(userId) has more than \(page * pages) keys; delete some there first.")
    }

    /// Whether the key carries our marker and is not one of the person's own.
    private static func isSomebodyElses(
        _ key: LiteLLMKey, _ userId: UUID, _ executor: any PostgresExecutor
    ) async throws -> Bool {
        guard let marker = key.marker else { return false }
        guard marker.resource == .key, let id = UUID(uuidString: marker.id) else { return true }
        return try await PostgresAPIKeyStore().find(id, in: executor)?.userId != userId
    }
}
