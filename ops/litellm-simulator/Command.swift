import ArgumentParser
import Foundation
import Logging
import ServiceLifecycle
import UnixSignals

/// The program: reads its options and serves until it is told to stop.
@main
struct SimulatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "litellm-simulator",
        abstract: "Plays a LiteLLM 1.106 proxy in memory, or stands before a real one and spoils its answers.",
        discussion: """
            The admin API is under /_sim, with the master key:
              GET, POST, DELETE /_sim/faults     rules in force; POST takes one or a list; DELETE /_sim/faults/NAME
              GET /_sim/holds                    requests that are held
              POST /_sim/hold/NAME/release       lets them go on and ends the rule (?keep=true: the rule stays)
              GET, DELETE /_sim/calls            the call log (?path= prefix, ?alias=, ?contains=, ?limit= newest)
              GET /_sim/state                    counts, and every alias and id
              POST /_sim/reset                   as after the start
              POST /_sim/clock                   {"advance_seconds": N}, for expiry and budgets

            A fault: {"name": "n", "for_ms": 60000,
              "match": {"method", "path" (prefix), "path_regex", "body_contains", "percent", "count"},
              "action": {"kind": KIND, "when": "before" | "after" the effect}}
            KIND and its members: latency (ms), status (status, body, retry_after), drop, cut (half a body), garbage
            (body), empty_models, database_down, hold (hold: NAME), down (how: drop | refuse; refuse needs for_ms).
            """)

    @Option(help: "The port; 0 takes a free one.")
    var port = 4000

    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The admin key. Without it: LITELLM_MASTER_KEY, else sk-simulator-master.")
    var masterKey: String?

    @Option(help: "A file to which every call is appended, one JSON object a line, secrets hashed.")
    var callLog: String?

    @Option(help: "Stand before this LiteLLM (http://host:port) instead of playing one.")
    var upstream: String?

    @Flag(help: "Refuse an explicit key in /key/generate with 403.")
    var disableCustomKeys = false

    @Option(help: "Seed of the dice for faults with a percentage.")
    var seed: UInt64 = 1

    mutating func validate() throws {
        guard (0...65_535).contains(port) else { throw ValidationError("--port is 0 to 65535") }
        guard key.hasPrefix("sk-"), key.count > 3 else { throw ValidationError("--master-key starts with sk-") }
    }

    private var key: String {
        masterKey ?? ProcessInfo.processInfo.environment["LITELLM_MASTER_KEY"] ?? "sk-simulator-master"
    }

    func run() async throws {
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: "litellm-simulator")
        let level = ProcessInfo.processInfo.environment["LOG_LEVEL"].flatMap { Logger.Level(rawValue: $0) }
        logger.logLevel = max(level ?? .warning, .warning)
        do {
            let settings = SimulatorSettings(
                masterKey: key, allowsCustomKeys: !disableCustomKeys, seed: seed,
                upstream: try upstream.map(SimulatorSettings.Upstream.init), callLogFile: callLog)
            try await serve(settings, logger)
        } catch let error as SettingsError {
            throw ValidationError(error.description)
        }
    }

    private func serve(_ settings: SimulatorSettings, _ logger: Logger) async throws {
        let listener = Listener(parts: try Parts(settings: settings), host: host, port: port, logger: logger)
        var configuration = ServiceGroupConfiguration(
            services: [listener], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(3)
        configuration.maximumCancellationDuration = .seconds(5)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch is CancellationError {
            // Clients that would not let go were cut off: still a clean end.
        }
    }
}
