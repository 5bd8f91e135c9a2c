import Foundation
import Jobs
import Shared

/// Looks at workers, queues, breakers and jobs.
struct JobsDoctor: Sendable {
    let client: PostgresClient
    let store = PostgresDoctorStore()

    func breakers() async throws -> [Finding] {
        let all = try await PostgresBreakerStore().statuses(in: client)
        let findings = all.compactMap { breaker -> Finding? in
            let why = breaker.reason.map { ": \($0)" } ?? ""
            switch breaker.state {
            case "closed": return nil
            case "forced_open", "forced_closed":
                return .warn(
                    "breakers", "\(breaker.name) is \(breaker.state) by \(breaker.changedBy ?? "somebody")\(why).",
                    fix: "`litemaasctl breakers reset \(breaker.name)` hands it back to itself.")
            case "ramping":
                return .ok(
                    "breakers",
                    "\(breaker.name) recovered; \(breaker.concurrency ?? 0) jobs at a time until enough have succeeded."
                )
            default:
                let since = breaker.openedAt.map { " for \(Duration.seconds(-$0.timeIntervalSinceNow).words)" } ?? ""
                return .bad(
                    "breakers", "\(breaker.name) has been open\(since)\(why).",
                    fix: "Mend LiteLLM; the breaker tries again by itself, and waiting jobs lose no attempt.")
            }
        }
        return findings.isEmpty ? [.ok("breakers", "Closed: \(all.map(\.name).joined(separator: ", ")).")] : findings
    }

    func workers() async throws -> [Finding] {
        let all = try await store.workers(in: client)
        let alive = all.filter { !$0.isLost && $0.state == 0 }
        var findings: [Finding] = []
        if alive.isEmpty {
            findings.append(
                .bad("workers", "None is alive: nothing is carried out.", fix: "Start litemaas-worker."))
        }
        let lost = all.filter(\.isLost)
        if !lost.isEmpty {
            findings.append(
                .warn(
                    "workers", "\(lost.count) vanished within the last hour (\(names(lost))).",
                    fix: "Look why they died: their log, the kernel's (out of memory), the platform's."))
        }
        let versions = Set(alive.map(\.version)).sorted()
        if versions.count > 1 {
            findings.append(
                .warn(
                    "workers", "They run different versions: \(versions.joined(separator: ", ")).",
                    fix: "Fine during an upgrade; finish it."))
        }
        return findings.isEmpty ? [.ok("workers", "\(alive.count) alive: \(names(alive)).")] : findings
    }

    private func names(_ workers: [PostgresDoctorStore.Worker]) -> String {
        let names = workers.prefix(5).map(\.name).joined(separator: ", ")
        return workers.count > 5 ? "\(names), …" : names
    }

    func queues() async throws -> [Finding] {
        let all = try await store.queues(in: client)
        let findings = all.flatMap { queue -> [Finding] in
            if queue.isPaused {
                let who = queue.pausedBy.map { " by \($0)" } ?? ""
                let why = queue.reason.map { ": \($0)" } ?? ""
                return [
                    .warn(
                        "queues", "\(queue.name) is paused\(who)\(why); \(queue.ready) jobs wait in it.",
                        fix: "`litemaasctl queues resume \(queue.name)` when it may go on.")
                ]
            }
            if !queue.isServed, queue.ready > 0 {
                return [
                    .bad(
                        "queues", "Nobody serves \(queue.name), where \(queue.ready) jobs are ready.",
                        fix: "Start a worker whose WORKER_QUEUES is empty or names it.")
                ]
            }
            guard queue.late > 0, let example = queue.lateExample else { return [] }
            return [
                .warn(
                    "queues", "\(queue.late) jobs of \(queue.name) have been ready for more than 5 minutes.",
                    fix: "`litemaasctl jobs explain \(example)` tells why one of them waits.")
            ]
        }
        let ready = all.reduce(0) { $0 + $1.ready }
        return findings.isEmpty ? [.ok("queues", "None is paused; \(ready) jobs are ready.")] : findings
    }

    func stuck() async throws -> [Finding] {
        let looks: [(PostgresDoctorStore.Stuck, String, String)] = [
            (
                try await store.blockedBehindNothing(in: client), "wait behind a job that is not there",
                "A worker's sweep lets them go on within seconds; if not, read its log."
            ),
            (
                try await store.runningWithoutWorker(in: client), "run on a worker that is not alive",
                "Another worker takes them back within seconds; start one if none is alive."
            ),
            (
                try await store.unknownKinds(in: client), "are of kinds that no live worker knows",
                "Start workers of the version that knows them."
            ),
            (
                try await store.overdue(in: client), "are due and were not made ready",
                "A worker does that at once; start one, or read its log."
            ),
        ]
        let findings = looks.filter { $0.0.count > 0 }.map { stuck, what, fix in
            Finding.bad("jobs", "\(stuck.count) jobs \(what), such as \(stuck.example ?? 0).", fix: fix)
        }
        return findings.isEmpty ? [.ok("jobs", "None is stuck.")] : findings
    }

    func deadLetters() async throws -> [Finding] {
        let all = try await store.deadLetters(in: client)
        guard !all.isEmpty else { return [.ok("failed jobs", "None waits for a person.")] }
        return all.map { letters in
            .warn(
                "failed jobs",
                "\(letters.count) of kind \(letters.kind) with \(letters.code), last \(ISO8601.string(from: letters.last)).",
                fix: "Look at `litemaasctl jobs show \(letters.example)`; once its cause is gone: "
                    + "`litemaasctl jobs bulk retry --kind \(letters.kind) --error-code \(letters.code)`.")
        }
    }

    /// The alerts that no other look tells of; a budget is its owner's affair.
    func alerts() async throws -> [Finding] {
        let told: Set<Alert.Sort> = [.noWorker, .breakerOpen, .breakerForced, .queuePaused, .deadLetters, .budget]
        let alerts = try await Alerts().list(in: client).alerts.filter { !told.contains($0.type) }
        guard !alerts.isEmpty else { return [.ok("alerts", "There are no others.")] }
        return alerts.map { alert in
            Finding(
                check: "alerts", level: alert.severity == .critical ? .bad : .warn, message: alert.message,
                fix: "docs/operations.md#\(alert.type.rawValue.replacing("_", with: "-"))")
        }
    }
}
