import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("What administrators ask of models", .needsDatabase, .hangGuard)
struct ModelAdministrationTests {
    @Test("another api_base needs the key again: LiteLLM would show the stored one to whoever is there")
    func exfiltration() async throws {
        try await KindBench.run { bench in
            try await bench.addSynced()
            let refused = await #expect(throws: ProvisioningError.self) {
                try await bench.changeManaged { $0.parameters.apiBase = "https://evil.example.com" }
            }
            #expect(refused?.code == .invalidModel && refused?.field == "api_key")
            #expect(
                try await bench.changeManaged {
                    $0.parameters.apiBase = "https://new.example.com"
                    $0.apiKey = Secret("sk-second")
                } != nil)
        }
    }

    @Test("of fifty who ask for one name at once one is let in")
    func concurrentCreates() async throws {
        try await KindBench.run { bench in
            let outcomes = await withTaskGroup(of: Bool.self) { group in
                for _ in 1...50 {
                    group.addTask {
                        do {
                            _ = try await bench.addManaged()
                            return true
                        } catch let error as ProvisioningError {
                            #expect(error.code == .modelExists)
                            return false
                        } catch {
                            Issue.record(error)
                            return false
                        }
                    }
                }
                return await group.reduce(into: [Bool]()) { $0.append($1) }
            }
            let jobs = try await bench.jobs(ModelApply.self)
            #expect(outcomes.filter(\.self).count == 1 && jobs.count == 1)
        }
    }
}
