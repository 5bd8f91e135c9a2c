import ArgumentParser
import Logging
import Shared

/// `litemaas-worker`: carries out the jobs. All settings come from the environment; see docs/configuration.md.
@main
struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "litemaas-worker",
        abstract: "Carries out LiteMaaS jobs against LiteLLM.",
        discussion: "Settings come from the environment and an optional .env file; see docs/configuration.md.",
        version: BuildInfo.version)

    func run() async throws {
        let configuration: AppConfiguration
        do {
            configuration = try await AppConfiguration.load(process: .worker)
        } catch {
            StandardStreamSink(.standardError).write(Array("litemaas-worker: \(error)\n".utf8))
            throw ExitCode(78)
        }
        LoggingBootstrap.bootstrap(configuration.logging, service: "litemaas-worker")
        let logger = Logger(label: "litemaas.worker")
        for notice in configuration.notices { logger.warning("\(notice)") }
        do {
            try await WorkerProcess(configuration: configuration, logger: logger).run()
        } catch let error as MigrationError {
            logger.critical("\(error)")
            throw ExitCode(3)
        }
    }
}
