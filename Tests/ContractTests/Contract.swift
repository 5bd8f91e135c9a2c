import Foundation
import Testing

/// What LiteLLM promises on the wire, as far as this product relies on it. Every check runs against the simulator
/// and, when LITELLM_API_URL and LITELLM_API_KEY are set, against that LiteLLM too.
@Suite(.litellms)
enum Contract {}

/// A LiteLLM that has to keep the contract.
enum Target: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case simulator
    case real

    static let all: [Target] = realWire == nil ? [.simulator] : [.simulator, .real]

    /// The LiteLLM of the environment.
    static let realWire: Wire? = {
        let environment = ProcessInfo.processInfo.environment
        guard let url = environment["LITELLM_API_URL"], let key = environment["LITELLM_API_KEY"], !url.isEmpty else {
            return nil
        }
        return Wire(url: url.hasSuffix("/") ? String(url.dropLast()) : url, masterKey: key)
    }()

    @TaskLocal static var simulatorWire: Wire?

    var testDescription: String { rawValue }

    var wire: Wire {
        get throws { try #require(self == .simulator ? Self.simulatorWire : Self.realWire) }
    }
}

/// Starts one simulator for all contract checks and stops it after them.
struct LiteLLMs: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await Self.makeFirstTeam()
        try await SimulatorProcess.with { simulator in
            try await Target.$simulatorWire.withValue(simulator.wire) { try await function() }
        }
    }
}

extension LiteLLMs {
    /// A new LiteLLM makes its own administrator a user together with the first team, and answers 500 to all but one
    /// of several first teams at once. That is no part of the contract: one team comes before the checks.
    private static func makeFirstTeam() async throws {
        guard Target.realWire != nil else { return }
        try await World.on(.real) { world in _ = try await world.makeTeam([:], "first-team") }
    }
}

extension Trait where Self == LiteLLMs {
    static var litellms: LiteLLMs { LiteLLMs() }
}
