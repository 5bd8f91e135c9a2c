import Foundation
import Shared

/// What the rules of alerts look at, at one moment.
struct AlertFacts: Sendable {
    struct Breaker: Sendable {
        var name: String
        var state: BreakerPolicy.State
        var since: Date
        var reason: String?
    }

    struct Schedule: Sendable {
        var name: String
        var kind: String
        var cron: String
        var timeZone: String
        /// When it is to be looked at next.
        var lookAt: Date?
        /// Since when it is as it is now.
        var changedAt: Date
        /// Why and when the last run failed, as long as nobody has decided about it.
        var error: (code: String, at: Date)?
    }

    /// Several things of one sort.
    struct Group: Sendable {
        /// What they are.
        var name: String
        /// What is the matter with them, where that differs.
        var kind = ""
        var count: Int
        var since: Date
        var example: String?
    }

    struct Queue: Sendable {
        var name: String
        var pausedAt: Date
        var pausedBy: String?
        var reason: String?
    }

    struct Budget: Sendable {
        /// `user` or `api_key`.
        var type: String
        var id: String
        var name: String
        var spend: Decimal
        var budget: Decimal
        var takenAt: Date
    }

    /// The database's clock.
    var now = Date()
    /// Those that do not decide by themselves to let everything through.
    var breakers: [Breaker] = []
    /// Enabled ones.
    var schedules: [Schedule] = []
    var modelsSyncedAt: Date?
    var usageTakenAt: Date?
    var liveWorkers = 0
    var lastBeat: Date?
    var pausedQueues: [Queue] = []
    /// Revoked here for a while, and not yet seen to be refused by LiteLLM.
    var revocations: Group?
    var drift: [Group] = []
    var deadLetters: [Group] = []
    var syncFailures: [Group] = []
    var conflicts: Group?
    /// The most used ones.
    var budgets: [Budget] = []
    /// How many there are.
    var budgetCount = 0
}

/// The SQL of the alerts: one round trip, and every statement has an index or a short table.
struct PostgresAlertStore: Sendable {
    /// Dead letters of a kind are counted no further.
    private static let mostLetters = 10_000
    /// Budgets that are named one by one.
    private static let namedBudgets = 50

    func facts(withBudgets: Bool, in executor: any PostgresExecutor) async throws -> AlertFacts {
        var statements: [PostgresQuery] = [
            Self.moments, Self.breakers, Self.schedules, Self.queues, Self.revocations, Self.drift, Self.deadLetters,
            Self.syncFailures, Self.conflicts,
        ]
        if withBudgets { statements.append(Self.budgets) }
        let results = try await executor.pipeline(statements)
        var facts = AlertFacts()
        if let row = results[0].first {
            (facts.now, facts.modelsSyncedAt, facts.usageTakenAt, facts.liveWorkers, facts.lastBeat) = try row.decode(
                Date.self, Date?.self, Date?.self, Int.self, Date?.self)
        }
        facts.breakers = try results[1].map { row in
            let (name, state, since, reason) = try row.decode(String.self, Int16.self, Date.self, String?.self)
            return .init(
                name: name, state: BreakerPolicy.State(rawValue: state) ?? .closed, since: since, reason: reason)
        }
        facts.schedules = try results[2].map(Self.schedule)
        facts.pausedQueues = try results[3].map { row in
            let (name, pausedAt, by, reason) = try row.decode(String.self, Date.self, String?.self, String?.self)
            return .init(name: name, pausedAt: pausedAt, pausedBy: by, reason: reason)
        }
        facts.revocations = try results[4].map(Self.group).first
        facts.drift = try results[5].map(Self.group)
        facts.deadLetters = try results[6].map(Self.group)
        facts.syncFailures = try results[7].map(Self.group)
        facts.conflicts = try results[8].map(Self.group).first
        if withBudgets {
            facts.budgets = try results[9].map(Self.budget)
            facts.budgetCount = Int(try results[9].first?.get("total", as: Int64.self) ?? 0)
        }
        return facts
    }

    private static func schedule(_ row: PostgresRow) throws -> AlertFacts.Schedule {
        let (name, kind, cron, zone, lookAt, changedAt, code, failedAt) = try row.decode(
            String.self, String.self, String.self, String.self, Date?.self, Date.self, String?.self, Date?.self)
        return AlertFacts.Schedule(
            name: name, kind: kind, cron: cron, timeZone: zone, lookAt: lookAt, changedAt: changedAt,
            error: failedAt.map { (code ?? "unknown", $0) })
    }

    private static func group(_ row: PostgresRow) throws -> AlertFacts.Group {
        let (name, kind, count, since, example) = try row.decode(
            String.self, String.self, Int64.self, Date.self, String?.self)
        return AlertFacts.Group(name: name, kind: kind, count: Int(count), since: since, example: example)
    }

    private static func budget(_ row: PostgresRow) throws -> AlertFacts.Budget {
        AlertFacts.Budget(
            type: try row.get("type"), id: try row.get("id"), name: try row.get("name"), spend: try row.get("spend"),
            budget: try row.get("budget"), takenAt: try row.get("taken_at"))
    }

    // MARK: Statements

    private static var moments: PostgresQuery {
        """
        select clock_timestamp(), (select max(finished_at) from model_syncs where success),
            (select max(fetched_at) from usage_days),
            (select count(*) from job_workers where state = 0 and lease_until > now()),
            (select max(beat_at) from job_workers)
        """
    }

    private static var breakers: PostgresQuery {
        """
        select name, state, coalesce(case when state in (1, 2) then opened_at end, changed_at), reason from breakers
        where state in (1, 2, 8, 9) order by name
        """
    }

    private static var schedules: PostgresQuery {
        """
        select s.name, s.kind, s.cron, s.time_zone, s.look_at, greatest(s.created_at, s.changed_at), d.error_code,
            d.finished_at
        from job_schedules s left join job_dead_letters d on d.id = s.last_job_id
        where s.enabled order by s.name limit 1000
        """
    }

    private static var queues: PostgresQuery {
        "select name, paused_at, paused_by, pause_reason from job_queues where paused_at is not null order by name"
    }

    private static var revocations: PostgresQuery {
        """
        select 'api_key', '', count(*), min(revoke_requested_at),
            (array_agg(id::text order by revoke_requested_at, id))[1]
        from api_keys
        where not is_active and revoked_at is null
            and revoke_requested_at < now() - \(AlertRules.revocationTime) * interval '1 second'
        having count(*) > 0
        """
    }

    private static var drift: PostgresQuery {
        """
        select object_type, kind, count(*), min(first_seen_at), min(object_id) from drift_findings
        where state = 'open' group by object_type, kind order by object_type, kind
        """
    }

    private static var deadLetters: PostgresQuery {
        """
        select k.name, '', d.count, d.since, d.example::text from job_kinds k cross join lateral (
            select count(*) as count, min(finished_at) as since, max(id) as example from (
                select id, finished_at from job_dead_letters where kind_id = k.id limit \(mostLetters)) as letters
        ) as d
        where d.count > 0 order by d.count desc, k.name
        """
    }

    /// Users whose address is another one's in LiteLLM are told of by themselves, keys that were revoked as well.
    private static var syncFailures: PostgresQuery {
        """
        select type, '', count(*), min(updated_at), min(id) from (
            select 'user' as type, id::text, updated_at from users where sync_status = 'failed' and conflict is null
            union all select 'team', id::text, updated_at from teams where sync_status = 'failed'
            union all select 'api_key', id::text, updated_at from api_keys where sync_status = 'failed' and is_active
            union all select 'model', model_id, updated_at from model_specs where sync_status = 'failed'
        ) as failed group by type order by type
        """
    }

    private static var conflicts: PostgresQuery {
        """
        select 'user', '', count(*), min(updated_at), min(id::text) from users
        where sync_status = 'failed' and conflict is not null having count(*) > 0
        """
    }

    private static var budgets: PostgresQuery {
        """
        select type, id, name, spend, budget, taken_at, count(*) over () as total from (
            select 'user' as type, id::text, username as name, current_spend as spend, max_budget as budget,
                spend_taken_at as taken_at
            from users where is_active and max_budget > 0 and current_spend >= \(AlertRules.budgetShares[0]) * max_budget
                and (budget_reset_at is null or budget_reset_at > now())
            union all
            select 'api_key', id::text, coalesce(name, litellm_alias), current_spend, max_budget, spend_taken_at
            from api_keys where is_active and max_budget > 0
                and current_spend >= \(AlertRules.budgetShares[0]) * max_budget
                and (budget_reset_at is null or budget_reset_at > now())
        ) as used order by spend / budget desc, type, id limit \(namedBudgets)
        """
    }
}
