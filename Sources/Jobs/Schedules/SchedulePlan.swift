import Foundation
import Shared

/// The rules of one schedule, read and ready to decide: pure, so that every case can be tested.
struct SchedulePlan: Sendable {
    /// A tick that starts within this time of its due time is not late.
    static let grace: TimeInterval = 60
    /// How soon a tick that waits for the run before it is looked at again.
    static let recheck: TimeInterval = 1
    /// How far ticks that nobody decided are counted.
    static let counted = 1000

    let name: String
    let cron: CronExpression
    let zone: TimeZone
    let catchUp: ScheduleCatchUp
    let catchUpLimit: Int
    let jitterSeconds: Int

    /// What to do now.
    struct Decision: Sendable, Equatable {
        struct Tick: Sendable, Equatable {
            var tick: Date
            var outcome: ScheduleTick.Outcome
            var ticks: Int
        }
        /// Given up, to be noted.
        var givenUp: [Tick] = []
        /// To run now.
        var run: Tick?
        /// The oldest tick that is not decided then; nil when there is none any more.
        var nextTick: Date?
        /// When to look again.
        var lookAt: Date?
    }

    /// - Throws: ``JobScheduleError/invalid(field:problem:fix:)``.
    init(
        name: String, cron: String, timeZone: String, catchUp: ScheduleCatchUp, catchUpLimit: Int, jitterSeconds: Int
    ) throws(JobScheduleError) {
        do throws(CronError) {
            self.cron = try CronExpression(cron)
        } catch {
            throw .invalid(field: "cron (\(error.field))", problem: error.problem, fix: error.fix)
        }
        // Abbreviations mean different times in different countries, and offsets know no daylight saving.
        guard let zone = TimeZone(identifier: timeZone), timeZone.contains("/") || timeZone == "UTC" else {
            throw .invalid(
                field: "timeZone", problem: "'\(timeZone)' is not a time zone",
                fix: "use an IANA name such as Europe/Prague, or UTC")
        }
        guard (1...1000).contains(catchUpLimit) else {
            throw .invalid(field: "catchUpLimit", problem: "\(catchUpLimit) is out of range", fix: "use 1 to 1000")
        }
        self.name = name
        self.zone = zone
        self.catchUp = catchUp
        self.catchUpLimit = catchUpLimit
        self.jitterSeconds = jitterSeconds
        try checkJitter()
    }

    private func checkJitter() throws(JobScheduleError) {
        let ticks = cron.next(25, after: Date(timeIntervalSince1970: 0), in: zone)
        let gap = zip(ticks.dropFirst(), ticks).map { Int($0.timeIntervalSince($1)) }.min() ?? 86_401
        let limit = min(gap, 86_401) - 1
        guard (0...limit).contains(jitterSeconds) else {
            throw .invalid(
                field: "jitterSeconds", problem: "\(jitterSeconds) is out of range",
                fix: "use 0 to \(limit): less than the time between two runs, and at most a day")
        }
    }

    /// The start of a tick's job: spread over schedules, but the same in every process.
    func start(of tick: Date) -> Date {
        guard jitterSeconds > 0 else { return tick }
        let digest = sha256Hex("\(name)|\(Int64(tick.timeIntervalSince1970))").prefix(8)
        let number = Int64(digest, radix: 16) ?? 0
        return tick.addingTimeInterval(Double(number % Int64(jitterSeconds + 1)))
    }

    func next(after date: Date) -> Date? { cron.next(after: date, in: zone) }

    /// Decides about everything due from `nextTick` until `now`.
    func decide(nextTick: Date, now: Date, isRunning: Bool) -> Decision {
        var due = cron.latest(Self.counted, from: nextTick, through: now, in: zone)
        while let last = due.last, start(of: last) > now { due.removeLast() }
        guard let newest = due.last else {
            // Nothing is due: the tick may have been written by another rule or an older expression.
            let next = next(after: nextTick.addingTimeInterval(-1))
            return Decision(nextTick: next, lookAt: next.map(start))
        }
        switch catchUp {
        case .none: return decideWithoutCatchUp(due, newest: newest, now: now, isRunning: isRunning)
        case .once:
            if isRunning { return waiting(for: due[0], now: now) }
            return going(on: newest, run: .init(tick: newest, outcome: .run, ticks: due.count))
        case .all:
            var decision = Decision()
            let kept = Array(due.suffix(catchUpLimit))
            if due.count > kept.count {
                let dropped = due[due.count - kept.count - 1]
                decision.givenUp = [.init(tick: dropped, outcome: .missed, ticks: due.count - kept.count)]
            }
            let rest =
                isRunning
                ? waiting(for: kept[0], now: now)
                : going(on: kept[0], run: .init(tick: kept[0], outcome: .run, ticks: 1))
            decision.run = rest.run
            decision.nextTick = rest.nextTick
            decision.lookAt = rest.lookAt
            return decision
        }
    }

    private func decideWithoutCatchUp(_ due: [Date], newest: Date, now: Date, isRunning: Bool) -> Decision {
        if isRunning {
            var decision = going(on: newest, run: nil)
            decision.givenUp = [.init(tick: newest, outcome: .stillRunning, ticks: due.count)]
            return decision
        }
        guard now.timeIntervalSince(start(of: newest)) <= Self.grace else {
            var decision = going(on: newest, run: nil)
            decision.givenUp = [.init(tick: newest, outcome: .missed, ticks: due.count)]
            return decision
        }
        var decision = going(on: newest, run: .init(tick: newest, outcome: .run, ticks: 1))
        if due.count > 1 {
            decision.givenUp = [.init(tick: due[due.count - 2], outcome: .missed, ticks: due.count - 1)]
        }
        return decision
    }

    private func waiting(for tick: Date, now: Date) -> Decision {
        Decision(nextTick: tick, lookAt: now.addingTimeInterval(Self.recheck))
    }

    private func going(on tick: Date, run: Decision.Tick?) -> Decision {
        let next = next(after: tick)
        return Decision(run: run, nextTick: next, lookAt: next.map(start))
    }
}
