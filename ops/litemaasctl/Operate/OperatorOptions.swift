import ArgumentParser
import Foundation
import Jobs
import Logging
import Shared

/// `--url`: where the commands of operators act.
struct OperatorOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The API to act through, with the token of LITEMAAS_TOKEN.",
            discussion: "Left out: LITEMAAS_URL; without that the database of DATABASE_URL."))
    var url: String?
    @OptionGroup var output: OutputOptions

    /// Runs `body` with the operator's way in, which is closed afterwards.
    ///
    /// - Throws: `ConfigurationError`, `CommandFailure`, or what `body` throws, in words for people.
    func act<Result: Sendable>(_ body: @Sendable (any Operator) async throws -> Result) async throws -> Result {
        let environment = ProcessInfo.processInfo.environment
        let named = [url, environment["LITEMAAS_URL"]].compactMap(\.self).first { !$0.isEmpty }
        do {
            guard let named else { return try await overDatabase(body) }
            return try await overREST(named, token: environment["LITEMAAS_TOKEN"], body)
        } catch let error as AdministrationError {
            throw CommandRefusal(error)
        } catch let error as JobQueueError {
            throw CommandRefusal(error)
        } catch let error as JobScheduleError {
            throw CommandRefusal(error)
        } catch let error as ProvisioningError {
            throw CommandRefusal(status: .usage, error.message)
        }
    }

    /// The same over REST alone, for what the API gives only to whoever asked for it.
    func actOverREST<Result: Sendable>(
        _ body: @Sendable (RESTOperator) async throws -> Result
    ) async throws -> Result {
        let environment = ProcessInfo.processInfo.environment
        guard let named = [url, environment["LITEMAAS_URL"]].compactMap(\.self).first(where: { !$0.isEmpty }) else {
            throw CommandFailure(description: "There is no API to ask. Fix: name it with --url or LITEMAAS_URL.")
        }
        return try await overREST(named, token: environment["LITEMAAS_TOKEN"], body)
    }

    private func overDatabase<Result: Sendable>(
        _ body: @Sendable (any Operator) async throws -> Result
    ) async throws -> Result {
        try await DatabaseOptions.withClient { client, _, logger in
            try await Migrator.requireCurrent(client: client, atLeast: SchemaVersion.required)
            let queue = JobQueue(database: client, catalog: .standard, logger: logger)
            try await queue.prepare()
            return try await body(DatabaseOperator(queue: queue))
        }
    }

    private func overREST<Result: Sendable>(
        _ url: String, token: String?, _ body: @Sendable (RESTOperator) async throws -> Result
    ) async throws -> Result {
        guard let token, !token.isEmpty else {
            throw CommandFailure(
                description: "LITEMAAS_TOKEN is not set. Fix: set it to the token of an administrator.")
        }
        let logger = Logger(label: "litemaasctl") { _ in SwiftLogNoOpLogHandler() }
        let transport = CurlTransport(logger: logger)
        do {
            let result = try await body(RESTOperator(transport: transport, url: url, token: Secret(token)))
            await transport.shutdown()
            return result
        } catch {
            await transport.shutdown()
            throw error
        }
    }
}

/// Ends a command because what was asked for is not there, or not allowed as things are.
struct CommandRefusal: Error, CustomStringConvertible {
    let status: ExitStatus
    let description: String

    init(status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }

    init(_ error: AdministrationError) {
        let field = error.field.map { " (\($0))" } ?? ""
        switch error.code {
        case .notFound: self.init(status: .notFound, error.message)
        case .conflict, .protected: self.init(status: .refused, error.message)
        case .invalid, .tooBroad: self.init(status: .usage, error.message + field)
        }
    }

    init(_ error: JobScheduleError) {
        switch error {
        case .notFound: self.init(status: .notFound, "\(error)")
        case .invalid: self.init(status: .usage, "\(error)")
        case .exists, .stillRunning: self.init(status: .refused, "\(error)")
        }
    }

    init(_ error: JobQueueError) {
        switch error {
        case .notFound: self.init(status: .notFound, "\(error)")
        case .unknownQueue, .unknownKind: self.init(status: .usage, "\(error)")
        default: self.init(status: .refused, "\(error)")
        }
    }
}
