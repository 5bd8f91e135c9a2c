import ArgumentParser
import Foundation
import Jobs
import Shared
import Synchronization

/// What a soak saw, part by part.
struct SoakReport: Encodable, Sendable {
    struct Part: Encodable, Sendable {
        var name: String
        var seconds: Double
        var enqueuedPerSecond: Double
        var workedPerSecond: Double
        var startP50Milliseconds: Double
        var startP99Milliseconds: Double
        var mostDeadRows: Int64
        var deadRowsAtEnd: Int64
        var mostTableMegabytes: Double
        var mostMemoryMegabytes: Double
        /// Jobs that waited when the part ended.
        var backlog: Int64
    }
    var rate: Int
    var parts: [Part]
    /// What did not hold; empty when all did.
    var broken: [String]

    var text: String {
        let lines = parts.map { part in
            "\(part.name): \(plain(part.workedPerSecond)) jobs/s worked of \(plain(part.enqueuedPerSecond)) enqueued for "
                + "\(plain(part.seconds)) s; start p50 \(part.startP50Milliseconds) ms, p99 \(part.startP99Milliseconds) ms; "
                + "at most \(part.mostDeadRows) dead rows, \(part.deadRowsAtEnd) at its end, table \(plain(part.mostTableMegabytes)) MB, "
                + "memory \(plain(part.mostMemoryMegabytes)) MB; \(part.backlog) waiting at its end"
        }
        return (lines + (broken.isEmpty ? ["every ceiling held"] : broken.map { "FAILS  \($0)" }))
            .joined(separator: "\n")
    }
}

/// `litemaasctl bench soak`.
struct BenchSoakCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "soak", abstract: "Enqueues and works at a set rate for a set time, under ceilings.",
        discussion: """
            With --hold-transaction the time has three parts: without, with, and again without a transaction that \
            keeps the server from cleaning up. Ends 1 when the rate was not kept or a ceiling was broken.
            """)

    @OptionGroup var options: BenchOptions
    @Option(help: "Jobs in a second.")
    var rate = 5000
    @Option(help: "Seconds in all, or of each part without a held transaction.")
    var duration = 600
    @Option(help: "Seconds for which a transaction is held open.")
    var holdTransaction = 0
    @Option(help: "Jobs at once.")
    var workers = 64
    @Option(help: "The most dead rows while no transaction is held.")
    var maxDeadRows = 1_000_000
    @Option(help: "The most megabytes of the live table with its indexes while no transaction is held.")
    var maxTableMegabytes = 1024
    @Option(help: "The most megabytes of this process.")
    var maxMemoryMegabytes = 256

    func validate() throws {
        try BenchLimit.check(rate, "--rate", 1...1_000_000)
        try BenchLimit.check(duration, "--duration", 1...604_800)
        try BenchLimit.check(holdTransaction, "--hold-transaction", 0...604_800)
        try BenchLimit.check(workers, "--workers", 1...10_000)
        try BenchLimit.check(maxDeadRows, "--max-dead-rows", 1...Int.max)
        try BenchLimit.check(maxTableMegabytes, "--max-table-megabytes", 1...Int.max)
        try BenchLimit.check(maxMemoryMegabytes, "--max-memory-megabytes", 1...Int.max)
    }

    func run() async throws {
        let command = self
        let report = try await options.run { runs in
            let parts = try await runs.soaking(rate: command.rate, workers: command.workers) { soak in
                let free = try await soak.part("free", seconds: command.duration)
                guard command.holdTransaction > 0 else { return [free] }
                let held = try await runs.holding { try await soak.part("held", seconds: command.holdTransaction) }
                return [free, held, try await soak.part("free again", seconds: command.duration)]
            }
            return SoakReport(rate: command.rate, parts: parts, broken: parts.flatMap { command.broken($0) })
        }
        if options.output.json { try Console.printJSON(report) } else { Console.print(report.text) }
        if !report.broken.isEmpty { throw ExitStatus.failed }
    }

    private func broken(_ part: SoakReport.Part) -> [String] {
        var broken: [String] = []
        if part.workedPerSecond < Double(rate) * 0.98 {
            broken.append("\(part.name): \(plain(part.workedPerSecond)) jobs/s were worked instead of \(rate)")
        }
        // What a held transaction kept is there until the first vacuum after it.
        let dead = part.name == "free" ? part.mostDeadRows : part.deadRowsAtEnd
        if part.name != "held", dead > Int64(maxDeadRows) {
            broken.append("\(part.name): \(dead) dead rows, the ceiling is \(maxDeadRows)")
        }
        if part.name == "free", part.mostTableMegabytes > Double(maxTableMegabytes) {
            broken.append(
                "\(part.name): the table had \(part.mostTableMegabytes) MB, the ceiling is \(maxTableMegabytes)")
        }
        if part.mostMemoryMegabytes > Double(maxMemoryMegabytes) {
            broken.append(
                "\(part.name): \(part.mostMemoryMegabytes) MB of memory, the ceiling is \(maxMemoryMegabytes)")
        }
        return broken
    }
}

/// A running soak: jobs come at a rate until it is over.
struct Soak: Sendable {
    let database: BenchDatabase
    let sent: SharedCount

    /// Watches for so long.
    func part(_ name: String, seconds: Int) async throws -> SoakReport.Part {
        let tally = BenchTally.shared
        _ = tally.takeWaits()
        let (sentBefore, ranBefore, began) = (sent.now, tally.startCount, ContinuousClock.now)
        var (dead, deadNow, bytes, backlog, memory) = (Int64(0), Int64(0), Int64(0), Int64(0), 0)
        var lastRan = ranBefore
        for second in 1...seconds {
            try await Task.sleep(until: began + .seconds(second))
            let health = try await database.store.health(in: database.client)
            (dead, bytes, backlog) = (max(dead, health.dead), max(bytes, health.bytes), health.ready)
            deadNow = health.dead
            memory = max(memory, ProcessStatistics.residentBytes() ?? 0)
            let ran = tally.startCount
            Console.error(
                "\(name): \(second) of \(seconds) s, \(ran - lastRan)/s, \(backlog) waiting, \(health.dead) dead rows")
            lastRan = ran
        }
        let took = (.now - began).inSeconds
        let waits = tally.takeWaits()
        return SoakReport.Part(
            name: name, seconds: rounded(took, 1),
            enqueuedPerSecond: rounded(Double(sent.now - sentBefore) / took, 0),
            workedPerSecond: rounded(Double(tally.startCount - ranBefore) / took, 0),
            startP50Milliseconds: waits.quantile(0.5), startP99Milliseconds: waits.quantile(0.99), mostDeadRows: dead,
            deadRowsAtEnd: deadNow,
            mostTableMegabytes: rounded(Double(bytes) / 1_048_576, 1),
            mostMemoryMegabytes: rounded(Double(memory) / 1_048_576, 1), backlog: backlog)
    }
}

extension BenchRuns {
    /// Runs `body` while jobs come at a rate and one engine works them.
    func soaking<Result: Sendable>(
        rate: Int, workers: Int, _ body: @escaping @Sendable (Soak) async throws -> Result
    ) async throws -> Result {
        try await database.store.clear(in: database.client)
        try await database.store.settle(in: database.client)
        BenchTally.shared.reset()
        let client = PostgresClient(settings: database.settings, logger: database.logger)
        let queue = try await BenchEngine.foreignQueue(client, database.logger)
        let sent = SharedCount()
        let result = try await BenchEngine.running(database, workers: workers) { _ in
            try await withThrowingTaskGroup(of: Result?.self) { group in
                group.addTask {
                    try await ping(rate: rate, on: queue, client, sent)
                    return nil
                }
                group.addTask { try await body(Soak(database: database, sent: sent)) }
                // The generator ends only by an error.
                guard let result = try await group.next() ?? nil else {
                    throw CommandFailure(description: "The soak ended without a result.")
                }
                group.cancelAll()
                return result
            }
        }
        await client.close()
        return result
    }

    /// Enqueues at a rate until cancelled.
    private func ping(rate: Int, on queue: JobQueue, _ client: PostgresClient, _ sent: SharedCount) async throws {
        let started = ContinuousClock.now
        while !Task.isCancelled {
            let due = Int((.now - started).inSeconds * Double(rate))
            let part = (0..<max(0, min(due - sent.now, 1000))).map { _ in BenchPing() }
            if !part.isEmpty {
                // In a task of its own: being told to stop must not break what is under way.
                try await Task {
                    try await client.withTransaction { _ = try await queue.enqueueMany(part, in: $0) }
                }.value
                sent.value.add(part.count, ordering: .relaxed)
            }
            // Cancellation ends the wait and then the loop.
            do { try await Task.sleep(for: .milliseconds(5)) } catch {}
        }
    }
}
