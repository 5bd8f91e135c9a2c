import Testing

@testable import Jobs

@Suite("Breaker policy")
struct BreakerPolicyTests {
    private let policy = BreakerPolicy()
    private typealias Snapshot = BreakerPolicy.Snapshot
    private typealias Window = BreakerPolicy.Window

    @Test("opens when at least half of the calls of several jobs fail")
    func opens() {
        let closed = Snapshot(state: .closed)
        #expect(policy.decide(closed, window: Window(succeeded: 5, failed: 5, failedJobs: 2)) != nil)
        #expect(policy.decide(closed, window: Window(succeeded: 6, failed: 5, failedJobs: 2)) == nil)
        #expect(policy.decide(closed, window: Window(succeeded: 0, failed: 4, failedJobs: 4)) == nil)
        // One poisonous job retried alone opens nothing.
        #expect(policy.decide(closed, window: Window(succeeded: 0, failed: 50, failedJobs: 1)) == nil)
    }

    @Test("a fifth of errors leaves it closed")
    func tolerates() {
        #expect(
            policy.decide(Snapshot(state: .closed), window: Window(succeeded: 800, failed: 200, failedJobs: 90)) == nil)
    }

    @Test("the open time doubles up to its limit, and an upstream's Retry-After is honoured")
    func openTime() {
        func wait(_ opens: Int, retryAfter: Duration? = nil) -> Duration? {
            guard
                case .open(let wait, _)? = policy.trip(
                    Snapshot(state: .closed, consecutiveOpens: opens), reason: "x", retryAfter: retryAfter)
            else { return nil }
            return wait
        }
        #expect(wait(0) == .seconds(1))
        #expect(wait(1) == .seconds(2))
        #expect(wait(4) == .seconds(16))
        #expect(wait(9) == .seconds(30))
        #expect(wait(1000) == .seconds(30))
        #expect(wait(0, retryAfter: .seconds(42)) == .seconds(42))
        #expect(wait(0, retryAfter: .seconds(86400)) == .seconds(300))
    }

    @Test("an open breaker probes once its time has come; a permit that ran out is taken over")
    func probes() {
        #expect(policy.decide(Snapshot(state: .open, untilRetry: .seconds(1)), window: Window()) == nil)
        #expect(policy.decide(Snapshot(state: .open, untilRetry: .zero), window: Window()) == .probe)
        #expect(policy.decide(Snapshot(state: .halfOpen, untilProbeExpires: .seconds(1)), window: Window()) == nil)
        #expect(policy.decide(Snapshot(state: .halfOpen, untilProbeExpires: .seconds(-1)), window: Window()) == .probe)
    }

    @Test("a good probe lets few calls through, then more, then all; trouble halves or reopens")
    func ramps() {
        #expect(
            policy.probed(Snapshot(state: .halfOpen), succeeded: true, reason: "", retryAfter: nil)
                == .ramp(concurrency: 4))
        let ramping = Snapshot(state: .ramping, concurrency: 4, sinceChange: .seconds(1))
        #expect(policy.decide(ramping, window: Window(succeeded: 3)) == .ramp(concurrency: 8))
        #expect(policy.decide(ramping, window: Window()) == nil)
        #expect(policy.decide(ramping, window: Window(succeeded: 1, failed: 2, failedJobs: 2)) == .ramp(concurrency: 2))
        let almost = Snapshot(state: .ramping, concurrency: 32, sinceChange: .seconds(1))
        #expect(policy.decide(almost, window: Window(succeeded: 3)) == .close)
        let early = Snapshot(state: .ramping, concurrency: 4, sinceChange: .milliseconds(1))
        #expect(policy.decide(early, window: Window(succeeded: 3)) == nil)
        guard case .open? = policy.decide(ramping, window: Window(succeeded: 1, failed: 9, failedJobs: 3)) else {
            Issue.record("nine failures of ten did not reopen it")
            return
        }
    }

    @Test("a person's word stands", arguments: [BreakerPolicy.State.forcedOpen, .forcedClosed])
    func forced(state: BreakerPolicy.State) {
        let forced = Snapshot(state: state)
        #expect(policy.decide(forced, window: Window(succeeded: 0, failed: 100, failedJobs: 9)) == nil)
        #expect(policy.trip(forced, reason: "refused", retryAfter: nil) == nil)
    }
}
