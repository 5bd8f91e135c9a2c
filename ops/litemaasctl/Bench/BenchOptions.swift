import ArgumentParser
import Shared

/// What all benchmarks share.
struct BenchOptions: ParsableArguments {
    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    @Option(help: "The most seconds one measurement may take.")
    var timeout = 600

    func validate() throws {
        guard timeout > 0 else { throw ValidationError("--timeout is above 0") }
    }

    /// Runs `body` in a scratch database.
    func run<Result: Sendable>(_ body: @escaping @Sendable (BenchRuns) async throws -> Result) async throws -> Result {
        let limit = Duration.seconds(timeout)
        return try await BenchDatabase.with(database) { try await body(BenchRuns(database: $0, limit: limit)) }
    }

    /// Prints results one below the other, or as one JSON array.
    func show(_ results: [BenchResult]) throws {
        if output.json {
            try Console.printJSON(results)
        } else {
            Console.print(results.map(\.text).joined(separator: "\n"))
        }
    }
}

/// `--jobs` and its like, checked.
enum BenchLimit {
    static func check(_ value: Int, _ name: String, _ range: ClosedRange<Int>) throws {
        guard range.contains(value) else {
            throw ValidationError("\(name) is \(range.lowerBound) to \(range.upperBound), not \(value)")
        }
    }
}
