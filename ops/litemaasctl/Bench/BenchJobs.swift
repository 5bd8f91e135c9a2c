import Jobs
import Shared
import Synchronization

/// Does nothing, with arguments like those of a small real job.
struct BenchJob: JobKind {
    static let name = "bench.noop"
    var n: Int
    var to: String
    var k: String

    init(_ number: Int) {
        n = number
        to = "user\(number)@example.test"
        k = "abcdefgh"
    }

    func run(in context: JobContext) async throws -> NoOutput {
        BenchTally.shared.ran()
        return NoOutput()
    }
}

/// Says how long after it was asked for it began.
struct BenchPing: JobKind {
    static let name = "bench.ping"
    /// Nanoseconds on this process's clock.
    var askedAt: Int64

    init() { askedAt = BenchTally.nanoseconds }

    func run(in context: JobContext) async throws -> NoOutput {
        BenchTally.shared.began(afterNanoseconds: BenchTally.nanoseconds - askedAt)
        return NoOutput()
    }
}

/// Takes its time without doing anything.
struct BenchSleep: JobKind {
    static let name = "bench.sleep"
    var milliseconds: Int

    func run(in context: JobContext) async throws -> NoOutput {
        try await Task.sleep(for: .milliseconds(milliseconds))
        BenchTally.shared.ran()
        return NoOutput()
    }
}

/// What the benchmark's jobs in this process did.
final class BenchTally: Sendable {
    static let shared = BenchTally()
    private static let epoch = ContinuousClock.now
    private let count = Atomic<Int>(0)
    private let firstAt = Mutex<ContinuousClock.Instant?>(nil)
    private let waits = Mutex<Waits>(Waits())

    private struct Waits {
        /// The first ones, in the order of beginning.
        var list: [Double] = []
        var histogram = WaitHistogram()
        var count = 0
    }
    private static let mostListed = 100_000

    static var nanoseconds: Int64 {
        let since = (ContinuousClock.now - epoch).components
        return since.seconds * 1_000_000_000 + since.attoseconds / 1_000_000_000
    }

    func reset() {
        count.store(0, ordering: .relaxed)
        firstAt.withLock { $0 = nil }
        waits.withLock { $0 = Waits() }
    }

    func ran() {
        if count.add(1, ordering: .relaxed).oldValue == 0 { firstAt.withLock { $0 = .now } }
    }

    func began(afterNanoseconds wait: Int64) {
        waits.withLock { waits in
            waits.count += 1
            waits.histogram.add(milliseconds: Double(wait) / 1e6)
            if waits.list.count < Self.mostListed { waits.list.append(Double(wait) / 1e6) }
        }
    }

    var ranCount: Int { count.load(ordering: .relaxed) }
    var firstRanAt: ContinuousClock.Instant? { firstAt.withLock { $0 } }
    /// Milliseconds from asking to beginning, in the order of beginning.
    var startWaits: [Double] { waits.withLock(\.list) }
    var startCount: Int { waits.withLock(\.count) }

    /// What has come together since the last time.
    func takeWaits() -> WaitHistogram {
        waits.withLock { waits in
            defer { waits.histogram = WaitHistogram() }
            return waits.histogram
        }
    }
}
