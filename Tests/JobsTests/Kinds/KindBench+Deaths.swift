import Shared
import TestSupport
import Testing

@testable import Jobs

extension KindBench {
    /// Plays a scene again and again, each time with a death at another call of its job, before and after the call's
    /// effect; afterwards two attempts bring the job to its end, the second one as if the first one's end was not noted.
    ///
    /// - Parameters:
    ///   - minimum: calls that the job makes at least, so that the loop cannot be empty.
    ///   - prepare: makes a fresh scene and gives the job.
    ///   - check: looks at the outcome.
    func everyDeath<Scene: Sendable>(
        atLeast minimum: Int, prepare: () async throws -> (Scene, jobId: Int64),
        check: (Scene, _ death: String) async throws -> Void
    ) async throws {
        for afterEffect in [false, true] {
            var call = 0
            var died = true
            while died {
                call += 1
                let (scene, jobId) = try await prepare()
                died = try await dies(jobId, atCall: call, afterEffect: afterEffect)
                for _ in 1...2 { try await attempt(jobId) }
                try await finish(jobId)
                try await check(scene, "death at call \(call), after its effect: \(afterEffect)")
                try await database.query("delete from jobs")
            }
            #expect(call > minimum)
        }
    }
}
