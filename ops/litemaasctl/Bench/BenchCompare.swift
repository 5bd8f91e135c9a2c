import ArgumentParser
import Shared

/// One bar: what the engine does, what the server can do without it, and whether that is near enough.
struct BenchBar: Encodable, Sendable {
    enum Direction: Sendable {
        case atLeast, atMost
    }

    var name: String
    var unit: String
    /// The middle of the rounds.
    var engine: Double
    /// Nil for a bar that is a figure of its own.
    var raw: Double?
    /// engine / raw, round by round, with its spread.
    var ratio: Spread?
    var bar: Double
    var holds: Bool
    var engineSpread: Spread

    /// Judged by the middle ratio, or by the middle figure when there is nothing to compare with.
    init(_ name: String, _ unit: String, engine: [Double], raw: [Double]?, _ direction: Direction, _ bar: Double) {
        self.name = name
        self.unit = unit
        self.bar = bar
        engineSpread = Spread(engine)
        self.engine = engineSpread.median
        self.raw = raw.map { Spread($0).median }
        ratio = raw.map { raw in Spread(zip(engine, raw).map { $0 / max($1, 1e-9) }) }
        let judged = ratio?.median ?? self.engine
        holds = direction == .atLeast ? judged >= bar : judged <= bar
    }

    var text: String {
        let against = raw.map { ", raw \(plain($0)), ratio \(ratio?.text ?? "")" } ?? ""
        return "\(holds ? "holds" : "FAILS")  \(name): \(engineSpread.text) \(unit)\(against), bar \(plain(bar))"
    }
}

/// `litemaasctl bench compare`.
struct BenchCompareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Engine and raw limit in turn, several rounds, against the bars.",
        discussion: """
            Ends 0 when every bar holds, else 1. Bars with a raw figure are judged by the ratio of the two, which \
            were measured one right after the other; the others by their own figure.
            """)

    @OptionGroup var options: BenchOptions
    @Option(help: "How often everything is measured.")
    var rounds = 3
    @Option(help: "Jobs in a drain; the other parts are sized after it.")
    var jobs = 300_000
    @Option(help: "Jobs at once.")
    var workers = 64
    @Option(help: "Starts measured in each latency part.")
    var count = 200
    @Flag(help: "Leave out what a claim costs among many other jobs, which takes long to load.")
    var skipClaimPlan = false

    func validate() throws {
        try BenchLimit.check(rounds, "--rounds", 1...100)
        try BenchLimit.check(jobs, "--jobs", 1000...100_000_000)
        try BenchLimit.check(workers, "--workers", 1...10_000)
        try BenchLimit.check(count, "--count", 10...100_000)
    }

    func run() async throws {
        let command = self
        let bars = try await options.run { try await command.bars($0) }
        if options.output.json {
            try Console.printJSON(bars)
        } else {
            Console.print(bars.map(\.text).joined(separator: "\n"))
        }
        if !bars.allSatisfy(\.holds) { throw ExitStatus.failed }
    }

    private struct Round: Sendable {
        var drain: BenchResult
        var bareDrain: BenchResult
        var steady: BenchResult
        var bareSteady: BenchResult
        var many: BenchResult
        var bareMany: BenchResult
        var single: BenchResult
        var bareSingle: BenchResult
        var idle: BenchResult
        var loaded: BenchResult
    }

    private func bars(_ runs: BenchRuns) async throws -> [BenchBar] {
        var all: [Round] = []
        for number in 1...rounds {
            Console.error("round \(number) of \(rounds)")
            all.append(try await round(runs))
        }
        func speed(_ part: (Round) -> BenchResult) -> [Double] { all.map { part($0).jobsPerSecond } }
        func wait(_ part: (BenchResult.Latency) -> Double, _ from: (Round) -> BenchResult) -> [Double] {
            all.compactMap { from($0).latencyMilliseconds.map(part) }
        }
        var bars = [
            BenchBar(
                "drain of a backlog, history kept", "jobs/s", engine: speed(\.drain), raw: speed(\.bareDrain),
                .atLeast, 0.7),
            BenchBar(
                "insert and work at once", "jobs/s", engine: speed(\.steady), raw: speed(\.bareSteady), .atLeast, 0.5),
            BenchBar(
                "bulk enqueue", "rows/s", engine: speed(\.many), raw: speed(\.bareMany), .atLeast, 0.6),
            BenchBar(
                "single enqueues of 32 callers, raw is one commit for each", "jobs/s", engine: speed(\.single),
                raw: speed(\.bareSingle), .atLeast, 3),
            BenchBar("start of a job, idle, p50", "ms", engine: wait(\.p50, \.idle), raw: nil, .atMost, 2.5),
            BenchBar("start of a job, idle, p99", "ms", engine: wait(\.p99, \.idle), raw: nil, .atMost, 4),
            BenchBar("start of a job, half load, p99", "ms", engine: wait(\.p99, \.loaded), raw: nil, .atMost, 20),
            BenchBar(
                "client CPU of a no-op job", "µs", engine: all.map(\.drain.clientMicrosecondsPerJob), raw: nil,
                .atMost, 12),
        ]
        guard !skipClaimPlan else { return bars }
        let plan = try await runs.claimPlan(
            future: 1_000_000, running: 200_000, finished: 1_000_000, limit: 500, jobs: min(jobs, 100_000),
            workers: workers)
        for (name, side, other, direction, bar) in [
            (
                "claim among 2.2 M other jobs", plan.full.buffersPerClaim, plan.empty.buffersPerClaim,
                BenchBar.Direction.atMost, 1.2
            ),
            ("claim beside a held transaction", plan.held.buffersPerClaim, plan.empty.buffersPerClaim, .atMost, 1.2),
        ] {
            bars.append(BenchBar(name, "buffers", engine: [Double(side)], raw: [Double(other)], direction, bar))
        }
        for (name, side) in [
            ("drain among 2.2 M other jobs, raw is without them", plan.full),
            ("drain beside a held transaction, raw is without it", plan.held),
        ] {
            bars.append(
                BenchBar(
                    name, "jobs/s", engine: [side.jobsPerSecond], raw: [plan.empty.jobsPerSecond], .atLeast, 0.8))
        }
        return bars
    }

    private func round(_ runs: BenchRuns) async throws -> Round {
        let steadyJobs = max(1000, jobs / 2)
        let singles = max(1000, jobs / 5)
        let bareDrain = try await runs.bareDrain(jobs: jobs, connections: 1, batch: 500)
        let drain = try await runs.drain(jobs: jobs, workers: workers)
        let bareSteady = try await runs.bareSteady(jobs: steadyJobs, batch: 1000, claim: 500)
        let steady = try await runs.steady(jobs: steadyJobs, workers: workers, batch: 1000)
        let bareMany = try await runs.bareEnqueue(jobs: jobs, connections: 4, batch: 1000)
        let many = try await runs.enqueue(.many, jobs: jobs, callers: 4, batch: 1000)
        let bareSingle = try await runs.bareEnqueue(jobs: singles, connections: 32, batch: 1)
        let single = try await runs.enqueue(.single, jobs: singles, callers: 32, batch: 1)
        return Round(
            drain: drain, bareDrain: bareDrain, steady: steady, bareSteady: bareSteady, many: many, bareMany: bareMany,
            single: single, bareSingle: bareSingle,
            idle: try await runs.latency(count: count, load: 0, workers: workers),
            loaded: try await runs.latency(
                count: count, load: Int(steady.jobsPerSecond / 2), workers: workers))
    }
}
