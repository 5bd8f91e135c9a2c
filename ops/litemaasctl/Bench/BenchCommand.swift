import ArgumentParser
import Shared

/// `litemaasctl bench`.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures the job engine, and what the same work costs without it.",
        discussion: """
            Each run makes a database of its own, litemaas_bench_…, on the server of DATABASE_URL, and drops it at the \
            end; nothing else there is touched. The account must be allowed to create databases. CPU of the server is \
            measured when it runs on this machine; index entries and commits when it has the extension pg_walinspect.

            Speed of one machine drifts: only figures of one run of `bench compare` can be compared.
            """,
        subcommands: [
            BenchEnqueueCommand.self, BenchDrainCommand.self, BenchLatencyCommand.self, BenchClaimPlanCommand.self,
            BenchRawCommand.self, BenchCompareCommand.self, BenchSoakCommand.self, BenchHTTPCommand.self,
        ])
}

extension BenchRuns.EnqueueMethod: ExpressibleByArgument {}

/// `litemaasctl bench enqueue`.
struct BenchEnqueueCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enqueue", abstract: "Puts jobs in: one by one (single), many in a statement (many), by COPY.")

    @OptionGroup var options: BenchOptions
    @Option(help: "single, many or copy.")
    var method = BenchRuns.EnqueueMethod.single
    @Option(help: "How many jobs.")
    var jobs = 100_000
    @Option(help: "Callers at once. Left out: 32 for single, 2 otherwise.")
    var callers: Int?
    @Option(help: "Jobs in a statement.")
    var batch = 1000

    func validate() throws {
        try BenchLimit.check(jobs, "--jobs", 1...100_000_000)
        try BenchLimit.check(callers ?? 1, "--callers", 1...1000)
        try BenchLimit.check(batch, "--batch", 1...100_000)
    }

    func run() async throws {
        let (method, jobs, batch) = (method, jobs, batch)
        let callers = callers ?? (method == .single ? 32 : 2)
        try options.show([
            try await options.run {
                try await $0.enqueue(method, jobs: jobs, callers: callers, batch: batch)
            }
        ])
    }
}

/// `litemaasctl bench drain`.
struct BenchDrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Works off a backlog of jobs that do nothing, in one process.")

    @OptionGroup var options: BenchOptions
    @Option(help: "How many jobs wait.")
    var jobs = 300_000
    @Option(help: "Jobs at once.")
    var workers = 64

    func validate() throws {
        try BenchLimit.check(jobs, "--jobs", 1...100_000_000)
        try BenchLimit.check(workers, "--workers", 1...10_000)
    }

    func run() async throws {
        let (jobs, workers) = (jobs, workers)
        try options.show([try await options.run { try await $0.drain(jobs: jobs, workers: workers) }])
    }
}

/// `litemaasctl bench latency`.
struct BenchLatencyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "latency", abstract: "The time from asking for a job to its beginning, idle and under load.",
        discussion: "Without --load the load is half of what inserting and working at once reaches here.")

    @OptionGroup var options: BenchOptions
    @Option(help: "How many starts are measured in each part.")
    var count = 200
    @Option(help: "Other jobs in a second, in the second part.")
    var load: Int?
    @Option(help: "Jobs at once.")
    var workers = 64

    func validate() throws {
        try BenchLimit.check(count, "--count", 10...100_000)
        try BenchLimit.check(load ?? 1, "--load", 1...1_000_000)
        try BenchLimit.check(workers, "--workers", 1...10_000)
    }

    func run() async throws {
        let (count, load, workers) = (count, load, workers)
        try options.show(
            try await options.run { runs in
                let idle = try await runs.latency(count: count, load: 0, workers: workers)
                var rate = load
                if rate == nil {
                    rate = Int(try await runs.steady(jobs: 100_000, workers: workers, batch: 1000).jobsPerSecond / 2)
                }
                return [idle, try await runs.latency(count: count, load: rate ?? 1000, workers: workers)]
            })
    }
}

/// `litemaasctl bench raw`.
struct BenchRawCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "raw", abstract: "The same work by plain loops over libpq, without the engine: the limit here.",
        discussion: "drain and steady use tables of their own that hold only what the work needs.")

    enum Part: String, CaseIterable, ExpressibleByArgument {
        case drain, steady, single, many
    }

    @OptionGroup var options: BenchOptions
    @Argument(help: "drain, steady, single or many; several are taken in turn.")
    var parts: [Part] = [.drain]
    @Option(help: "How many jobs.")
    var jobs = 300_000
    @Option(help: "Connections at once. Left out: 32 for single, 2 for many, 1 otherwise.")
    var connections: Int?
    @Option(help: "Jobs in a claim.")
    var batch = 500

    func validate() throws {
        try BenchLimit.check(jobs, "--jobs", 1...100_000_000)
        try BenchLimit.check(connections ?? 1, "--connections", 1...200)
        try BenchLimit.check(batch, "--batch", 1...100_000)
    }

    func run() async throws {
        let (parts, jobs, connections, batch) = (parts, jobs, connections, batch)
        try options.show(
            try await options.run { runs in
                var results: [BenchResult] = []
                for part in parts {
                    let result =
                        switch part {
                        case .drain:
                            try await runs.bareDrain(jobs: jobs, connections: connections ?? 1, batch: batch)
                        case .steady: try await runs.bareSteady(jobs: jobs, batch: 1000, claim: batch)
                        case .single:
                            try await runs.bareEnqueue(jobs: jobs, connections: connections ?? 32, batch: 1)
                        case .many:
                            try await runs.bareEnqueue(jobs: jobs, connections: connections ?? 2, batch: 1000)
                        }
                    results.append(result)
                }
                return results
            })
    }
}
