package import Foundation
package import Shared

/// Sets limits of many active users, in chunks by id; each user follows in LiteLLM by a child `user.provision`, also
/// where our row had the limits already. Users whose limits somebody has changed since it was asked for keep those and are
/// not counted. An attempt that follows a crash goes on behind the last child.
package struct UsersBulkLimits: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// A user whose limits LiteLLM does not have.
        package struct Failure: Codable, Sendable, Equatable {
            package var userId: String
            /// Nil when the user is gone.
            package var username: String?
            package var error: String
        }

        package var totalUsers: Int
        package var successCount: Int
        package var failedCount: Int
        /// The first of those that failed.
        package var errors: [Failure]
        package var processedAt: Date
    }

    /// How many failures are named one by one.
    static let named = 100

    package static let name = "users.bulkLimits"
    package static let timeout: Duration = .seconds(600)

    package let filter: ActiveUserFilter
    package let limits: LimitsDocument
    /// When it was asked for. Users that came later, or got other limits, are not meant.
    package let asOf: Date
    /// Users changed in one transaction.
    var chunk: Int?

    package init(filter: ActiveUserFilter, limits: LimitsDocument, asOf: Date) {
        self.filter = filter
        self.limits = limits
        self.asOf = asOf
    }

    /// One at a time, as they were asked for.
    package var orderKey: String? { Self.name }

    package func run(in context: JobContext) async throws -> Output {
        var last = try await context.lastChildResource()
        var changed = 0
        while true {
            let after = last
            let ids = try await context.transaction { try await changeChunk(after: after, context, in: $0) }
            guard let end = ids.last else { break }
            last = end
            changed += ids.count
            try await context.progress(0, "The limits of \(changed) users were set here.")
        }
        guard let children = try await context.children() else { throw JobWaitForChildren(.someMayFail) }
        let failed = children.total - children.succeeded
        return Output(
            totalUsers: children.total, successCount: children.succeeded, failedCount: failed,
            errors: failed == 0 ? [] : try await failures(context), processedAt: Date())
    }

    /// - Returns: the users, by id; none when nobody is left.
    private func changeChunk(
        after last: UUID?, _ context: JobContext, in transaction: PostgresTransaction
    ) async throws -> [UUID] {
        let store = PostgresUserStore()
        let users = try await store.lockActive(
            filter, madeBy: asOf, after: last, limit: max(1, chunk ?? 100), in: transaction)
        let change = limits.change
        for user in users {
            var wanted = user
            wanted.limits = change.applied(to: user.limits)
            guard wanted.limits != user.limits else { continue }
            _ = try await store.store(
                wanted, setsRoles: false, reachesLiteLLM: true, limitsAsOf: asOf, in: transaction)
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "USER_BUDGET_UPDATE", resourceType: "user",
                    resourceId: user.id.text, oldValues: .object(user.limits.audited),
                    newValues: .object(wanted.limits.audited), jobId: context.id),
                in: transaction)
        }
        let children = try await context.addChildren(
            users.map { UserProvision(userId: $0.id) }, resource: { JobResource(type: "user", id: $0.userId.text) },
            in: transaction)
        for (user, child) in zip(users, children) {
            try await store.expectSync(user.id, by: child.id, in: transaction)
        }
        return users.map(\.id)
    }

    private func failures(_ context: JobContext) async throws -> [Output.Failure] {
        let failures = try await context.childFailures(limit: Self.named)
        let ids = failures.compactMap { $0.resourceId.flatMap(UUID.init(uuidString:)) }
        let names = try await PostgresUserStore().usernames(of: ids, in: context.services.database)
        return failures.map { failure in
            let id = failure.resourceId ?? ""
            return Output.Failure(
                userId: id, username: UUID(uuidString: id).flatMap { names[$0] },
                error: "\(failure.code): \(failure.message)")
        }
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await end.audit("USER_BULK_LIMITS_FAILED", about: "user", "all", in: transaction)
    }
}

/// Changes of limits as a job's parameters hold them.
package struct LimitsDocument: Codable, Sendable, Equatable {
    /// An exact decimal text.
    var maxBudget: String?
    var budgetDuration: String?
    var tpmLimit: Int?
    var rpmLimit: Int?
    /// The limits that are to go.
    var cleared: [String]

    package init(_ change: LimitsChange) {
        func value<Value>(_ change: FieldChange<Value>) -> Value? {
            if case .set(let value) = change { value } else { nil }
        }
        maxBudget = value(change.maxBudget).map { "\($0)" }
        budgetDuration = value(change.budgetDuration)
        tpmLimit = value(change.tpmLimit)
        rpmLimit = value(change.rpmLimit)
        cleared = [
            ("maxBudget", change.maxBudget == .clear), ("budgetDuration", change.budgetDuration == .clear),
            ("tpmLimit", change.tpmLimit == .clear), ("rpmLimit", change.rpmLimit == .clear),
        ].filter(\.1).map(\.0)
    }

    var change: LimitsChange {
        func field<Value>(_ name: String, _ value: Value?) -> FieldChange<Value> {
            cleared.contains(name) ? .clear : FieldChange(changed: value)
        }
        var change = LimitsChange()
        change.maxBudget = field(
            "maxBudget", maxBudget.flatMap { Decimal(string: $0, locale: Locale(identifier: "C")) })
        change.budgetDuration = field("budgetDuration", budgetDuration)
        change.tpmLimit = field("tpmLimit", tpmLimit)
        change.rpmLimit = field("rpmLimit", rpmLimit)
        return change
    }
}
