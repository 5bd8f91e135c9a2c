import Foundation
import Testing

@testable import Jobs

@Suite("Rules of a schedule")
struct SchedulePlanTests {
    static func plan(
        _ catchUp: ScheduleCatchUp, limit: Int = 3, jitter: Int = 0, cron: String = "*/10 * * * *"
    ) throws -> SchedulePlan {
        try SchedulePlan(
            name: "test", cron: cron, timeZone: "UTC", catchUp: catchUp, catchUpLimit: limit, jitterSeconds: jitter)
    }

    static func at(_ time: String) -> Date { CronTests.date("2026-05-01T\(time)Z") }

    @Test("nothing is due before its time")
    func notDue() throws {
        for catchUp in ScheduleCatchUp.allCases {
            let decision = try Self.plan(catchUp).decide(
                nextTick: Self.at("12:10:00"), now: Self.at("12:09:59"), isRunning: false)
            #expect(decision == .init(nextTick: Self.at("12:10:00"), lookAt: Self.at("12:10:00")))
        }
    }

    @Test("a tick in time runs, whatever the policy", arguments: ScheduleCatchUp.allCases)
    func inTime(catchUp: ScheduleCatchUp) throws {
        let decision = try Self.plan(catchUp).decide(
            nextTick: Self.at("12:10:00"), now: Self.at("12:10:01"), isRunning: false)
        #expect(decision.run == .init(tick: Self.at("12:10:00"), outcome: .run, ticks: 1))
        #expect(decision.nextTick == Self.at("12:20:00"))
        #expect(decision.givenUp.isEmpty)
    }

    @Test("without catch-up, late ticks and ticks during a run are given up, and that is noted")
    func none() throws {
        let plan = try Self.plan(.none)
        let late = plan.decide(nextTick: Self.at("10:00:00"), now: Self.at("12:05:00"), isRunning: false)
        #expect(late.run == nil)
        #expect(late.givenUp == [.init(tick: Self.at("12:00:00"), outcome: .missed, ticks: 13)])
        #expect(late.nextTick == Self.at("12:10:00"))
        let back = plan.decide(nextTick: Self.at("10:00:00"), now: Self.at("12:00:10"), isRunning: false)
        #expect(back.run?.tick == Self.at("12:00:00"))
        #expect(back.givenUp == [.init(tick: Self.at("11:50:00"), outcome: .missed, ticks: 12)])
        let busy = plan.decide(nextTick: Self.at("12:10:00"), now: Self.at("12:10:00"), isRunning: true)
        #expect(busy.run == nil)
        #expect(busy.givenUp == [.init(tick: Self.at("12:10:00"), outcome: .stillRunning, ticks: 1)])
    }

    @Test("caught up once: one run for all, as soon as the run before it has ended")
    func once() throws {
        let plan = try Self.plan(.once)
        let late = plan.decide(nextTick: Self.at("10:00:00"), now: Self.at("12:05:00"), isRunning: false)
        #expect(late.run == .init(tick: Self.at("12:00:00"), outcome: .run, ticks: 13))
        #expect(late.nextTick == Self.at("12:10:00"))
        let busy = plan.decide(nextTick: Self.at("10:00:00"), now: Self.at("12:05:00"), isRunning: true)
        #expect(busy.run == nil && busy.givenUp.isEmpty)
        #expect(busy.nextTick == Self.at("10:00:00"))
        #expect(busy.lookAt == Self.at("12:05:01"))
    }

    @Test("caught up in full: one after the other, the newest up to the limit")
    func all() throws {
        let plan = try Self.plan(.all)
        let first = plan.decide(nextTick: Self.at("10:00:00"), now: Self.at("12:05:00"), isRunning: false)
        #expect(first.run == .init(tick: Self.at("11:40:00"), outcome: .run, ticks: 1))
        #expect(first.givenUp == [.init(tick: Self.at("11:30:00"), outcome: .missed, ticks: 10)])
        #expect(first.nextTick == Self.at("11:50:00"))
        let busy = plan.decide(nextTick: Self.at("11:50:00"), now: Self.at("12:05:01"), isRunning: true)
        #expect(busy.run == nil && busy.nextTick == Self.at("11:50:00"))
        let second = plan.decide(nextTick: Self.at("11:50:00"), now: Self.at("12:05:02"), isRunning: false)
        #expect(second.run?.tick == Self.at("11:50:00") && second.givenUp.isEmpty)
    }

    @Test("jitter delays a tick, the same in every process, and never past the next one")
    func jitter() throws {
        let plan = try Self.plan(.once, jitter: 300)
        let starts = (0..<50).map { number in
            let tick = Self.at("00:00:00").addingTimeInterval(Double(number) * 600)
            #expect(plan.start(of: tick) == plan.start(of: tick))
            return plan.start(of: tick).timeIntervalSince(tick)
        }
        #expect(starts.allSatisfy { (0...300).contains($0) })
        #expect(Set(starts).count > 20)
        let tick = Self.at("12:10:00")
        let start = plan.start(of: tick)
        #expect(plan.decide(nextTick: tick, now: start.addingTimeInterval(-1), isRunning: false).run == nil)
        #expect(plan.decide(nextTick: tick, now: start, isRunning: false).run?.tick == tick)
    }

    @Test("what cannot be is refused by field")
    func refuses() throws {
        func field(_ make: () throws -> SchedulePlan) -> String? {
            do {
                _ = try make()
                return nil
            } catch JobScheduleError.invalid(let field, _, let fix) {
                return fix.isEmpty ? nil : field
            } catch {
                return nil
            }
        }
        #expect(field { try Self.plan(.once, jitter: 600) } == "jitterSeconds")
        #expect(field { try Self.plan(.once, jitter: -1) } == "jitterSeconds")
        #expect(field { try Self.plan(.once, limit: 0) } == "catchUpLimit")
        #expect(field { try Self.plan(.once, cron: "99 * * * *") } == "cron (minute)")
        for zone in ["CET6", "Mars/Olympus", "", "+02:00"] {
            #expect(
                field {
                    try SchedulePlan(
                        name: "z", cron: "@daily", timeZone: zone, catchUp: .once, catchUpLimit: 1, jitterSeconds: 0)
                } == "timeZone", "\(zone)")
        }
    }
}
