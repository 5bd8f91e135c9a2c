package import Foundation
package import Shared

/// Something that a person should know of, or do something about, as things are now.
package struct Alert: Codable, Sendable, Equatable {
    package enum Severity: String, Codable, Sendable, CaseIterable {
        /// Something does not work, or a key works that should not.
        case critical
        /// It works, but not as it should, or not for long.
        case warning
        case info

        var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }

    package enum Sort: String, Codable, Sendable, CaseIterable {
        case noWorker = "no_worker"
        case breakerOpen = "breaker_open"
        case breakerForced = "breaker_forced"
        case revocationPending = "revocation_pending"
        case drift
        case queuePaused = "queue_paused"
        case modelSyncOverdue = "model_sync_overdue"
        case usageOverdue = "usage_overdue"
        case scheduleLate = "schedule_late"
        case scheduleFailing = "schedule_failing"
        case syncFailure = "sync_failure"
        case userConflict = "user_conflict"
        case deadLetters = "dead_letters"
        case budget = "budget_alert"
    }

    package var type: Sort
    package var severity: Severity
    /// What is the case, and what to do.
    package var message: String
    /// Since when.
    package var createdAt: Date
    /// What it is about: a breaker, a queue, a schedule, a kind of job, a key, a user, a team, a model.
    package var entityType: String?
    /// The only one of them, or an example.
    package var entityId: String?
    /// How many of them it stands for.
    package var count: Int

    init(
        _ type: Sort, _ severity: Severity, since: Date, about entity: (type: String, id: String?)? = nil,
        count: Int = 1, _ message: String
    ) {
        self.type = type
        self.severity = severity
        self.message = message
        createdAt = since
        entityType = entity?.type
        entityId = entity?.id
        self.count = count
    }
}

/// All alerts, worst first.
package struct AlertList: Codable, Sendable, Equatable {
    package var alerts: [Alert]
    /// Budgets that are used up to eight tenths or more: more than are listed, where there are many.
    package var budgetAlerts: Int
}

/// Finds out what people should know of, from the tables as they are: nothing is kept that could go stale.
package struct Alerts: Sendable {
    private let store = PostgresAlertStore()

    package init() {}

    /// All of them.
    package func list(in executor: any PostgresExecutor) async throws -> AlertList {
        let facts = try await store.facts(withBudgets: true, in: executor)
        return AlertList(alerts: AlertRules(facts: facts).alerts(), budgetAlerts: facts.budgetCount)
    }

    /// Those about the system. Budgets are people's own affair, and looking at all of them costs more.
    func ofSystem(in executor: any PostgresExecutor) async throws -> [Alert] {
        AlertRules(facts: try await store.facts(withBudgets: false, in: executor)).alerts()
    }
}
