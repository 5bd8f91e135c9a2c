import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// Random histories of several workers with random faults, judged by a reference model after each step: nothing is lost
/// or ended twice, order and unique keys hold, attempts are charged as they should.
///
/// A failure names its seed. `MODEL_SEEDS=4,7` runs these seeds, `MODEL_SEED_COUNT=200` as many from 1 on, `MODEL_STEPS`
/// sets how long each is.
@Suite("Randomised model", .hangGuard)
struct ModelTests {
    static let steps = number("MODEL_STEPS") ?? 250

    static let seeds: [UInt64] = {
        if let chosen = ProcessInfo.processInfo.environment["MODEL_SEEDS"] {
            return chosen.split(separator: ",").compactMap { UInt64($0) }
        }
        return Array(1...UInt64(max(1, number("MODEL_SEED_COUNT") ?? 6)))
    }()

    private static func number(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) }
    }

    @Test("the engine does what the model says", arguments: seeds)
    func agrees(seed: UInt64) async throws {
        try await withTestDatabase { database in
            let run = ModelRun(try await EngineHarness(database), seed: seed)
            do {
                try await run.run(steps: Self.steps)
            } catch {
                let trace = run.trace.joined(separator: "\n  ")
                Issue.record("MODEL_SEEDS=\(seed): \(error)\nThe last steps:\n  \(trace)")
            }
        }
    }

    @Test("the same seed takes the same steps")
    func isReproducible() {
        var one = ModelRandom(seed: 42)
        var two = ModelRandom(seed: 42)
        #expect((0..<100).map { _ in one.next() } == (0..<100).map { _ in two.next() })
    }
}
