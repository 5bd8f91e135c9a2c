import Shared
import TestSupport
import Testing

@testable import Jobs

/// Workers that die at any call to a real LiteLLM. What they die of is the same as on the one in memory; what is there
/// afterwards is LiteLLM's own doing.
@Suite("Deaths on a real LiteLLM", .hangGuard)
struct RealKillTests {
    @Test(
        "a job whose process dies at any call is taken over, and both sides agree",
        .needsDatabase, .enabled(if: RealLiteLLM.settings != nil, "LITELLM_API_URL and LITELLM_API_KEY are not set"),
        arguments: KillScenario.all, [false, true])
    func survives(_ scenario: KillScenario, afterEffect: Bool) async throws {
        try await RealBench.run { real in
            var call = 0
            var died = true
            while died, call < scenario.deaths ?? .max {
                call += 1
                let victim = try await scenario.prepare(real)
                do {
                    died = try await real.bench.dies(
                        victim.jobId, atCall: call, afterEffect: afterEffect, of: real.transport)
                } catch is JobWaitForChildren {
                    died = false
                }
                // Whoever takes it over, and somebody once more because the end of that attempt was not noted.
                for _ in 1...2 { try await real.bench.attemptFamily(victim.jobId) }
                let place = died ? "died at call \(call), after its effect: \(afterEffect)" : "nobody died"
                let wrong = try await victim.disagreements()
                #expect(wrong.isEmpty, "\(scenario): \(place)")
                #expect(real.transport.emptyModelLists.isEmpty, "\(scenario): \(place)")
                try await real.bench.database.query("delete from jobs")
            }
            #expect(
                call > scenario.calls || call == scenario.deaths, "\(scenario) makes fewer calls than it is said to")
        }
    }

    @Test("every kind that calls LiteLLM dies here")
    func complete() {
        let calling = JobCatalog.standard.handlers.values.filter { $0.upstream != nil }.map(\.name)
        #expect(Set(calling) == Set(KillScenario.all.map(\.kind)))
    }
}
