import Foundation
import Shared

/// What is worth an alert: pure, so that every case can be tested.
struct AlertRules: Sendable {
    /// Seconds until a revocation should have been seen in LiteLLM: its job is the first in its queue and tries again
    /// at once, so only an outage takes longer.
    static let revocationTime = 300.0
    /// Seconds that a due schedule may wait: workers look every five seconds.
    static let scheduleGrace = 300.0
    /// Ticks of a schedule after which something that it keeps up to date is overdue: one may be lost to an outage.
    static let missedTicks = 3
    /// However often a schedule runs, nothing is overdue before so many seconds.
    static let overdueGrace = 900.0
    /// Parts of a budget, each of them a step.
    static let budgetShares: [Decimal] = [0.8, 0.9, 1]

    let facts: AlertFacts

    /// Worst first, then by type, the oldest first.
    func alerts() -> [Alert] {
        let all =
            workers + breakers + revocations + drift + queues + schedules + overdue + syncFailures + letters + budgets
        return all.enumerated().sorted { left, right in
            (left.element.severity.rank, left.offset) < (right.element.severity.rank, right.offset)
        }.map(\.element)
    }

    private var workers: [Alert] {
        guard facts.liveWorkers == 0 else { return [] }
        return [
            Alert(
                .noWorker, .critical, since: facts.lastBeat ?? facts.now,
                "No worker is alive: nothing is carried out. Start litemaas-worker.")
        ]
    }

    private var breakers: [Alert] {
        facts.breakers.map { breaker in
            let why = breaker.reason.map { ": \($0)" } ?? ""
            switch breaker.state {
            case .forcedOpen, .forcedClosed:
                let effect = breaker.state == .forcedOpen ? "lets nothing through" : "lets everything through"
                return Alert(
                    .breakerForced, breaker.state == .forcedOpen ? .critical : .warning, since: breaker.since,
                    about: ("breaker", breaker.name),
                    "The breaker \(breaker.name) \(effect), as a person has said\(why). "
                        + "`litemaasctl breakers reset \(breaker.name)` hands it back to itself.")
            default:
                return Alert(
                    .breakerOpen, .critical, since: breaker.since, about: ("breaker", breaker.name),
                    "Calls to \(breaker.name) are held back\(why). Mend LiteLLM; the breaker tries again by itself.")
            }
        }
    }

    private var revocations: [Alert] {
        facts.revocations.map { keys in
            Alert(
                .revocationPending, .critical, since: keys.since, about: ("api_key", keys.example), count: keys.count,
                "\(keys.count) revoked keys have not been seen to be refused by LiteLLM and may still work there. "
                    + "`litemaasctl jobs list --queue security`, then `jobs explain` on the oldest.")
        }.map { [$0] } ?? []
    }

    private var drift: [Alert] {
        facts.drift.map { group in
            Alert(
                .drift, group.kind == "alive" ? .critical : .warning, since: group.since,
                about: (group.name, group.example), count: group.count,
                "\(group.count) findings of kind \(group.kind) about objects of type \(group.name) in LiteLLM wait for "
                    + "a decision: GET /api/v1/admin/drift.")
        }
    }

    private var queues: [Alert] {
        facts.pausedQueues.map { queue in
            let who = queue.pausedBy.map { " by \($0)" } ?? ""
            let why = queue.reason.map { ": \($0)" } ?? ""
            return Alert(
                .queuePaused, queue.name == "security" ? .critical : .warning, since: queue.pausedAt,
                about: ("queue", queue.name),
                "The queue \(queue.name) is paused\(who)\(why). "
                    + "`litemaasctl queues resume \(queue.name)` when it may go on.")
        }
    }

    private var schedules: [Alert] {
        facts.schedules.flatMap { schedule -> [Alert] in
            var found: [Alert] = []
            if let lookAt = schedule.lookAt, facts.now.timeIntervalSince(lookAt) > Self.scheduleGrace {
                found.append(
                    Alert(
                        .scheduleLate, .warning, since: lookAt, about: ("schedule", schedule.name),
                        "The schedule \(schedule.name) is due and nobody runs it. Start a worker that knows the kind "
                            + "\(schedule.kind), or read its log."))
            }
            if let error = schedule.error {
                found.append(
                    Alert(
                        .scheduleFailing, .warning, since: error.at, about: ("schedule", schedule.name),
                        "The last run of \(schedule.name) failed with \(error.code). "
                            + "`litemaasctl schedules show \(schedule.name)` names the job."))
            }
            return found
        }
    }

    /// What a schedule keeps up to date and has not for a while, whatever the reason.
    private var overdue: [Alert] {
        facts.schedules.compactMap { schedule in
            switch schedule.kind {
            case ModelSync.name:
                return overdue(
                    .modelSyncOverdue, schedule, last: facts.modelsSyncedAt, "The list of models was last read")
            case UsageRefresh.name:
                return overdue(.usageOverdue, schedule, last: facts.usageTakenAt, "Usage was last taken over")
            default: return nil
            }
        }
    }

    private func overdue(
        _ sort: Alert.Sort, _ schedule: AlertFacts.Schedule, last: Date?, _ what: String
    ) -> Alert? {
        // A plan that cannot be read is the scheduler's to tell of.
        guard let cron = try? CronExpression(schedule.cron), let zone = TimeZone(identifier: schedule.timeZone) else {
            return nil
        }
        let since = max(last ?? schedule.changedAt, schedule.changedAt)
        guard let missed = cron.next(Self.missedTicks, after: since, in: zone).last,
            facts.now > max(missed, since.addingTimeInterval(Self.overdueGrace))
        else { return nil }
        let when = last.map { " at \(ISO8601.string(from: $0))" } ?? ", as far as is known, never"
        return Alert(
            sort, .warning, since: missed, about: ("schedule", schedule.name),
            "\(what)\(when). `litemaasctl schedules show \(schedule.name)` tells what became of its runs.")
    }

    private var syncFailures: [Alert] {
        let failures = facts.syncFailures.map { group in
            Alert(
                .syncFailure, .warning, since: group.since, about: (group.name, group.example), count: group.count,
                "\(group.count) objects of type \(group.name) could not be brought into LiteLLM. Their syncError says "
                    + "why; `litemaasctl jobs list --state failed`, then retry.")
        }
        let conflicts = facts.conflicts.map { group in
            Alert(
                .userConflict, .warning, since: group.since, about: ("user", group.example), count: group.count,
                "\(group.count) users have an address that LiteLLM knows under another id. An administrator decides: "
                    + "POST /api/v1/admin/users/{id}/realign.")
        }
        return failures + (conflicts.map { [$0] } ?? [])
    }

    private var letters: [Alert] {
        facts.deadLetters.map { group in
            Alert(
                .deadLetters, .warning, since: group.since, about: ("kind", group.name), count: group.count,
                "\(group.count) failed jobs of kind \(group.name) wait for a person, such as \(group.example ?? "?"). "
                    + "Mend the cause, then `litemaasctl jobs bulk retry --kind \(group.name)`.")
        }
    }

    private var budgets: [Alert] {
        facts.budgets.map { budget in
            let severity: Alert.Severity =
                budget.spend >= budget.budget
                ? .critical
                : budget.spend >= Self.budgetShares[1] * budget.budget ? .warning : .info
            let percent = NSDecimalNumber(decimal: budget.spend / budget.budget * 100).intValue
            let fix =
                severity == .critical
                ? "LiteLLM refuses calls until the period ends, the budget is raised or the spend is reset."
                : "Raise it or reset the spend before LiteLLM refuses calls."
            return Alert(
                .budget, severity, since: budget.takenAt, about: (budget.type, budget.id),
                "\(budget.name) has spent \(percent) % of the budget of \(budget.budget). \(fix)")
        }
    }
}
