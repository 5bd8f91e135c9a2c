import Foundation
import Logging
import Shared
import Synchronization
import TestSupport
import Testing

@testable import API

/// What the table does, in memory: with a clock of its own, a door that holds statements back, and failures on order.
private final class ScriptedLimits: Sendable {
    struct Away: Error {}

    private struct State {
        var time: ContinuousClock.Instant
        var windowEnd: ContinuousClock.Instant
        var taken: [String: Int] = [:]
        var refused: Set<String> = []
        var statements: [[RateLimitDemand]] = []
        var isAway = false
        var isHeld = false
        var held: [CheckedContinuation<Void, Never>] = []

        init(_ time: ContinuousClock.Instant) {
            self.time = time
            windowEnd = time + .seconds(60)
        }
    }

    private let state = Mutex(State(.now))

    var statements: [[RateLimitDemand]] { state.withLock { $0.statements } }
    func now() -> ContinuousClock.Instant { state.withLock { $0.time } }
    func setAway(_ isAway: Bool) { state.withLock { $0.isAway = isAway } }
    func hold() { state.withLock { $0.isHeld = true } }

    func release() {
        let held = state.withLock { state in
            state.isHeld = false
            defer { state.held = [] }
            return state.held
        }
        for continuation in held { continuation.resume() }
    }

    func advance(_ duration: Duration) {
        state.withLock { state in
            state.time += duration
            if state.time >= state.windowEnd {
                state.windowEnd = state.time + .seconds(60)
                state.taken = [:]
                state.refused = []
            }
        }
    }

    func take(_ demands: [RateLimitDemand]) async throws -> [String: RateLimitGrant] {
        await withCheckedContinuation { continuation in
            let passes = state.withLock { state in
                state.statements.append(demands)
                if state.isHeld { state.held.append(continuation) }
                return !state.isHeld
            }
            if passes { continuation.resume() }
        }
        return try state.withLock { state in
            if state.isAway { throw Away() }
            return Dictionary(
                uniqueKeysWithValues: demands.map { demand in
                    let taken = state.taken[demand.key] ?? 0
                    let granted = min(demand.chunk, demand.limit - taken)
                    state.taken[demand.key] = taken + granted
                    let isFirst = granted == 0 && state.refused.insert(demand.key).inserted
                    return (
                        demand.key,
                        RateLimitGrant(
                            granted: granted, taken: taken + granted, isFirstRefusal: isFirst,
                            remaining: state.windowEnd - state.time)
                    )
                })
        }
    }

    func limiter(capacity: Int = 50_000) -> RateLimiter {
        RateLimiter(capacity: capacity, timeLimit: .seconds(60), logger: APIHarness.quiet, now: { self.now() }) {
            try await self.take($0)
        }
    }
}

@Suite("Rate limiter", .hangGuard)
struct RateLimiterTests {
    private static func key(_ name: String = "someone") -> RateLimitKey {
        RateLimitKey(.authenticated, .service(name))
    }

    private static func allowed(_ limiter: RateLimiter, _ count: Int, key: RateLimitKey = key()) async -> Int {
        var allowed = 0
        for _ in 0..<count where await limiter.take(key, limit: 100).isAllowed { allowed += 1 }
        return allowed
    }

    @Test("a limit of 100 lets 100 through, and costs 21 statements however many ask")
    func exact() async {
        let limits = ScriptedLimits()
        let limiter = limits.limiter()
        let first = await limiter.take(Self.key(), limit: 100)
        #expect(first.isAllowed && first.limit == 100 && first.remaining == 99 && first.resetAfter == .seconds(60))
        #expect(await Self.allowed(limiter, 500) == 99)
        #expect(limits.statements.count == 21)
        let demand = RateLimitDemand(key: "u:someone", limit: 100, chunk: 5)
        #expect(limits.statements.allSatisfy { $0 == [demand] })
        let last = await limiter.take(Self.key(), limit: 100)
        #expect(!last.isAllowed && last.remaining == 0 && !last.isFirstRefusal)
    }

    @Test("a thousand requests at once get no more, in as many statements")
    func concurrent() async {
        let limits = ScriptedLimits()
        let limiter = limits.limiter()
        let decisions = await withTaskGroup(of: RateLimitDecision.self) { group in
            for _ in 0..<1000 { group.addTask { await limiter.take(Self.key(), limit: 100) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(decisions.count { $0.isAllowed } == 100)
        #expect(decisions.count { $0.isFirstRefusal } == 1)
        #expect(limits.statements.count <= 21)
    }

    @Test("two processes share a limit; one that falls silent leaves at most a chunk unused")
    func replicas() async {
        let limits = ScriptedLimits()
        let (quiet, busy) = (limits.limiter(), limits.limiter())
        let allowed = await Self.allowed(quiet, 1) + Self.allowed(busy, 500)
        #expect(allowed == 96)
        #expect(await Self.allowed(quiet, 10) == 4)
    }

    @Test("callers that come while a chunk is asked for wait for it; other keys share the next statement")
    func sharing() async throws {
        let limits = ScriptedLimits()
        let limiter = limits.limiter()
        limits.hold()
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for name in ["a", "b"] {
                group.addTask { await limiter.take(Self.key(name), limit: 100).isAllowed }
                #expect(try await eventually { limits.statements.count == (name == "a" ? 1 : 2) })
            }
            for name in ["a", "a", "a", "c", "d", "e"] {
                group.addTask { await limiter.take(Self.key(name), limit: 100).isAllowed }
            }
            #expect(try await eventually { limiter.count == 5 })
            limits.release()
            for try await isAllowed in group { #expect(isAllowed) }
        }
        let keys = limits.statements.map { $0.map(\.key).sorted() }
        #expect(Array(keys[..<2]) == [["u:a"], ["u:b"]])
        #expect(Set(keys[2...].joined()) == ["u:c", "u:d", "u:e"] && keys.count <= 5)
    }

    @Test("what is refused asks the database nothing until the window ends, and then is allowed again")
    func windows() async {
        let limits = ScriptedLimits()
        let limiter = limits.limiter()
        #expect(await Self.allowed(limiter, 101) == 100)
        limits.advance(.seconds(59))
        let statements = limits.statements.count
        let refused = await limiter.take(Self.key(), limit: 100)
        #expect(!refused.isAllowed && refused.resetAfter == .seconds(1) && limits.statements.count == statements)
        limits.advance(.seconds(1))
        #expect(await Self.allowed(limiter, 200) == 100)
    }

    @Test("what a window left unused is gone with it")
    func nothingIsCarriedOver() async {
        let limits = ScriptedLimits()
        let limiter = limits.limiter()
        #expect(await Self.allowed(limiter, 2) == 2)
        limits.advance(.seconds(60))
        #expect(await Self.allowed(limiter, 200) == 100)
    }

    @Test("without the database each process counts up to the limit, and leaves the database alone meanwhile")
    func away() async {
        let limits = ScriptedLimits()
        let limiter = limits.limiter()
        #expect(await Self.allowed(limiter, 3) == 3)
        limits.setAway(true)
        #expect(await Self.allowed(limiter, 300) == 97)
        #expect(limits.statements.count == 2)
        #expect(await Self.allowed(limiter, 300, key: Self.key("other")) == 100)
        #expect(limits.statements.count == 2)
        limits.advance(.seconds(60))
        limits.setAway(false)
        #expect(await Self.allowed(limiter, 300) == 100)
        #expect(limits.statements.count == 23)
    }

    @Test("a statement that hangs does not hold requests back for long")
    func hanging() async {
        let limiter = RateLimiter(timeLimit: .milliseconds(20), logger: APIHarness.quiet) { _ in
            try await Task.sleep(for: .seconds(3600))
            return [:]
        }
        #expect(await Self.allowed(limiter, 150) == 100)
    }

    @Test("no more keys are remembered than there is room for, and the limits hold all the same")
    func bounded() async {
        let limits = ScriptedLimits()
        let limiter = limits.limiter(capacity: 10)
        #expect(await Self.allowed(limiter, 150) == 100)
        for number in 0..<100 {
            #expect(await limiter.take(Self.key("number \(number)"), limit: 100).isAllowed)
            #expect(limiter.count <= 10)
        }
        #expect(await Self.allowed(limiter, 10) == 0)
    }
}
