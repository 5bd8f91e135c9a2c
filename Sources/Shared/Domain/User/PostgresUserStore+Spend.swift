package import Foundation

/// What LiteLLM says that a user has spent.
package struct UserSpend: Sendable, Equatable {
    /// The user's row.
    package var userId: UUID
    /// Dollars, in the present budget period.
    package var spend: Decimal
    /// When the period ends.
    package var budgetResetAt: Date?

    package init(userId: UUID, spend: Decimal, budgetResetAt: Date?) {
        self.userId = userId
        self.spend = spend
        self.budgetResetAt = budgetResetAt
    }
}

/// A user's spend as it is stored here.
package struct StoredSpend: Sendable, Equatable {
    /// Dollars; nil until LiteLLM has told it.
    package var amount: Decimal?
    /// When the present budget period ends.
    package var budgetResetAt: Date?
    /// When LiteLLM told it.
    package var takenAt: Date?

    /// What is known before LiteLLM has told anything.
    package init(amount: Decimal? = nil, budgetResetAt: Date? = nil, takenAt: Date? = nil) {
        self.amount = amount
        self.budgetResetAt = budgetResetAt
        self.takenAt = takenAt
    }
}

extension PostgresUserStore {
    /// The database's clock.
    package func now(in executor: any PostgresExecutor) async throws -> Date {
        try await executor.query("select clock_timestamp()").one(Date.self)
    }

    /// What the user has spent, as LiteLLM last told it; nil when there is no such user.
    package func spend(of id: UUID, in executor: any PostgresExecutor) async throws -> StoredSpend? {
        let row = try await executor.query(
            "select current_spend, budget_reset_at, spend_taken_at from users where id = \(id)"
        ).first
        return try row.map { row in
            StoredSpend(
                amount: try row.get("current_spend"), budgetResetAt: try row.get("budget_reset_at"),
                takenAt: try row.get("spend_taken_at"))
        }
    }

    /// Stores what LiteLLM has just said that the user has spent.
    package func noteSpend(
        _ id: UUID, _ spend: Decimal, budgetResetAt: Date?, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update users set current_spend = \(spend), budget_reset_at = \(budgetResetAt),
                spend_taken_at = clock_timestamp()
            where id = \(id)
            """)
    }

    /// Stores what LiteLLM said at `time`. Gives how many were ours; users whose spend is known from later are left out.
    package func noteSpends(
        _ spends: [UserSpend], at time: Date, in transaction: PostgresTransaction
    ) async throws -> Int {
        guard !spends.isEmpty else { return 0 }
        return try await transaction.query(
            """
            with told as (
                select * from unnest(
                    \(spends.map(\.userId)), \(spends.map { "\($0.spend)" })::text[],
                    \(spends.map(\.budgetResetAt))::timestamptz[]
                ) as t (id, spend, reset_at)
            ), meant as (
                select u.id, t.spend::numeric as spend, t.reset_at from told t join users u on u.id = t.id
                where u.spend_taken_at is null or u.spend_taken_at < \(time)
                order by u.id for no key update of u
            )
            update users u set current_spend = m.spend, budget_reset_at = m.reset_at, spend_taken_at = \(time)
            from meant m where u.id = m.id
            """
        ).affectedRows
    }
}
