import ArgumentParser
import Jobs
import Shared

/// What a claim costs, and how fast jobs are worked, when the tables are full of other things.
struct ClaimPlan: Encodable, Sendable {
    struct Side: Encodable, Sendable {
        var buffersPerClaim: Int
        var rowsPerClaim: Int
        var milliseconds: Double
        var jobsPerSecond: Double
    }
    var future: Int
    var running: Int
    var finished: Int
    var limit: Int
    var empty: Side
    var full: Side
    /// While a transaction of another session keeps the server from cleaning up.
    var held: Side
    /// full / empty.
    var buffersRatio: Double
    var heldBuffersRatio: Double
    var rateRatio: Double
    var heldRateRatio: Double

    var text: String {
        func line(_ name: String, _ side: Side) -> String {
            "\(name) \(side.buffersPerClaim) buffers for \(side.rowsPerClaim) jobs in \(side.milliseconds) ms, "
                + "\(plain(side.jobsPerSecond)) jobs/s"
        }
        return [
            "claim of \(limit) beside \(future) future, \(running) running and \(finished) ended jobs",
            line("  without them     ", empty), line("  with them        ", full), line("  a transaction held", held),
            "  ratios           buffers \(buffersRatio), held \(heldBuffersRatio); rate \(rateRatio), held \(heldRateRatio)",
        ].joined(separator: "\n")
    }
}

extension BenchRuns {
    func claimPlan(
        future: Int, running: Int, finished: Int, limit: Int, jobs: Int, workers: Int
    ) async throws -> ClaimPlan {
        try await database.store.clear(in: database.client)
        let empty = try await claimSide(limit: limit, jobs: jobs, workers: workers)
        Console.error("claim-plan: loading \(future + running + finished) other jobs")
        try await database.store.loadSurroundings(
            future: future, running: running, finished: finished, kind: BenchJob.name, in: database.client)
        let full = try await claimSide(limit: limit, jobs: jobs, workers: workers)
        let held = try await holding { try await claimSide(limit: limit, jobs: jobs, workers: workers) }
        func ratio(_ a: Double, _ b: Double) -> Double { rounded(a / max(b, 1e-9), 3) }
        return ClaimPlan(
            future: future, running: running, finished: finished, limit: limit, empty: empty, full: full, held: held,
            buffersRatio: ratio(Double(full.buffersPerClaim), Double(empty.buffersPerClaim)),
            heldBuffersRatio: ratio(Double(held.buffersPerClaim), Double(empty.buffersPerClaim)),
            rateRatio: ratio(full.jobsPerSecond, empty.jobsPerSecond),
            heldRateRatio: ratio(held.jobsPerSecond, empty.jobsPerSecond))
    }

    private func claimSide(limit: Int, jobs: Int, workers: Int) async throws -> ClaimPlan.Side {
        let queue = try await BenchEngine.foreignQueue(database.client, database.logger)
        try await database.store.load(jobs, kind: BenchJob.name, in: database.client)
        try await database.store.settle(in: database.client)
        var settings = database.settings
        settings.sessionSettings = JobEngine.plannerSettings
        let planner = PostgresClient(settings: settings, logger: database.logger)
        var costs: [ClaimCost] = []
        // The first one warms up.
        for _ in 0..<4 { costs.append(try await queue.claimCost(queue: BenchJob.queue, limit: limit, in: planner)) }
        await planner.close()
        let cost = costs[1...].min { $0.buffers < $1.buffers } ?? costs[0]
        // Rolled-back claims left dead rows behind, which are not part of the question.
        try await database.store.settle(in: database.client)
        let rate = try await drainLoaded("claim-plan", jobs: jobs, workers: workers).jobsPerSecond
        return ClaimPlan.Side(
            buffersPerClaim: cost.buffers, rowsPerClaim: cost.rows, milliseconds: cost.milliseconds,
            jobsPerSecond: rate)
    }

    /// Runs `body` while a transaction with a snapshot is open.
    func holding<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        var settings = database.settings
        settings.statementTimeout = nil
        let holder = PostgresClient(settings: settings, logger: database.logger)
        let result = try await holder.withTransaction(isolation: .repeatableRead) { transaction in
            try await database.store.hold(in: transaction)
            return try await body()
        }
        await holder.close()
        return result
    }
}

/// `litemaasctl bench claim-plan`.
struct BenchClaimPlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "claim-plan", abstract: "What a claim reads when the tables are full of future and ended jobs.")

    @OptionGroup var options: BenchOptions
    @Option(help: "Jobs that are due tomorrow.")
    var future = 1_000_000
    @Option(help: "Jobs that another worker runs.")
    var running = 200_000
    @Option(help: "Jobs in the history.")
    var finished = 1_000_000
    @Option(help: "Jobs in a claim.")
    var limit = 500
    @Option(help: "Jobs worked for the rate.")
    var jobs = 100_000
    @Option(help: "Jobs at once.")
    var workers = 64

    func validate() throws {
        try BenchLimit.check(future, "--future", 0...100_000_000)
        try BenchLimit.check(running, "--running", 0...100_000_000)
        try BenchLimit.check(finished, "--finished", 0...100_000_000)
        try BenchLimit.check(limit, "--limit", 1...10_000)
        try BenchLimit.check(jobs, "--jobs", 1...100_000_000)
        try BenchLimit.check(workers, "--workers", 1...10_000)
    }

    func run() async throws {
        let command = self
        let plan = try await options.run { runs in
            try await runs.claimPlan(
                future: command.future, running: command.running, finished: command.finished, limit: command.limit,
                jobs: command.jobs, workers: command.workers)
        }
        if options.output.json { try Console.printJSON(plan) } else { Console.print(plan.text) }
    }
}
