import Shared
import Testing

@Suite struct BackoffTests {
    let backoff = Backoff(initial: .seconds(1), factor: 2, cap: .seconds(60))

    @Test func ceilingDoublesUpToTheCap() {
        let seconds = [1, 2, 3, 6, 7, 1000].map { backoff.ceiling(afterAttempt: $0).components.seconds }
        #expect(seconds == [1, 2, 4, 32, 60, 60])
        #expect(backoff.ceiling(afterAttempt: .max) == .seconds(60))
        #expect(backoff.ceiling(afterAttempt: 0) == .seconds(1))
        #expect(backoff.ceiling(afterAttempt: .min) == .seconds(1))
    }

    @Test func jitterCoversTheWholeInterval() {
        #expect(backoff.delay(afterAttempt: 3, random: { 0 }) == .zero)
        #expect(backoff.delay(afterAttempt: 3, random: { 0.5 }) == .seconds(2))
        #expect(backoff.delay(afterAttempt: 3, random: { 0.75 }) == .seconds(3))
        for attempt in 1...10 {
            let delay = backoff.delay(afterAttempt: attempt)
            #expect(delay >= .zero && delay <= backoff.ceiling(afterAttempt: attempt))
        }
    }

    @Test func oddSettingsDoNotTrap() {
        #expect(Backoff(initial: .seconds(-1), cap: .seconds(1)).ceiling(afterAttempt: 5) == .zero)
        #expect(Backoff(initial: .seconds(5), cap: .seconds(1)).ceiling(afterAttempt: 5) == .seconds(1))
        #expect(Backoff(initial: .seconds(1), factor: 0, cap: .seconds(9)).ceiling(afterAttempt: .max) == .seconds(1))
        let huge = Backoff(initial: .seconds(Int64.max / 2), factor: 1e9, cap: .seconds(Int64.max))
        #expect(huge.ceiling(afterAttempt: 3) == .seconds(Int64.max))
    }

    @Test func durationUnits() {
        #expect(Duration.milliseconds(1500).inSeconds == 1.5)
        #expect(Duration.microseconds(1999).inMilliseconds == 1)
        #expect(Duration.seconds(Int64.max).inMilliseconds == .max)
        #expect(Duration.seconds(Int64.min).inMilliseconds == .min)
    }
}
