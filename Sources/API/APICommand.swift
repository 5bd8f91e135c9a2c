import ArgumentParser
import Logging
import Shared

/// `litemaas-api`: the REST API. All settings come from the environment; see docs/configuration.md.
@main
struct APICommand: AsyncParsableCommand {
    /// The exit status for settings that cannot be used, as sysexits.h has it.
    private static let badConfiguration: Int32 = 78
    /// The exit status for a database that has to be migrated first.
    private static let oldSchema: Int32 = 3

    static let configuration = CommandConfiguration(
        commandName: "litemaas-api",
        abstract: "Serves the LiteMaaS REST API.",
        discussion: "Settings come from the environment and an optional .env file; see docs/configuration.md.",
        version: BuildInfo.version)

    func run() async throws {
        let configuration: AppConfiguration
        do {
            configuration = try await AppConfiguration.load(process: .api)
        } catch {
            StandardStreamSink(.standardError).write(Array("litemaas-api: \(error)\n".utf8))
            throw ExitCode(Self.badConfiguration)
        }
        LoggingBootstrap.bootstrap(configuration.logging, service: "litemaas-api")
        let logger = Logger(label: "litemaas.api")
        for notice in configuration.notices { logger.warning("\(notice)") }
        do {
            try await APIProcess(configuration: configuration, logger: logger).run()
        } catch let error as MigrationError {
            logger.critical("\(error)")
            throw ExitCode(Self.oldSchema)
        }
    }
}
