import Foundation
package import Logging

/// What kind of installation a process belongs to.
package enum AppEnvironment: String, Sendable, CaseIterable, Codable {
    case development, test, staging, production
}

/// The names of `LOG_LEVEL`.
package enum LogLevel: String, Sendable, CaseIterable {
    case trace, debug, info, notice, warning, error, critical

    /// The level of swift-log.
    package var level: Logger.Level {
        Logger.Level(rawValue: rawValue) ?? .info
    }
}

/// All settings of one process, checked. The only way in is `load`.
///
/// Every group is always there; settings that the process does not read have their defaults (secrets: random or empty
/// ones).
package struct AppConfiguration: Sendable {
    /// The process that these settings were loaded for.
    package let process: ProcessKind
    /// The kind of installation.
    package let environment: AppEnvironment
    /// Logs.
    package let logging: LoggingSettings
    /// Addresses, origins and proxies.
    package let server: ServerConfiguration
    /// PostgreSQL.
    package let database: PostgresSettings
    /// LiteLLM; the key is empty where a process that can do without has none.
    package let litellm: LiteLLMSettings
    /// The way to LiteLLM.
    package let http: HTTPSettings
    /// Sign-in and access.
    package let auth: AuthConfiguration
    /// Defaults of new users.
    package let users: NewUserConfiguration
    /// Keys and the secrets at rest.
    package let keys: KeyConfiguration
    /// Models.
    package let models: ModelConfiguration
    /// The worker.
    package let worker: WorkerConfiguration
    /// Usage.
    package let usage: UsageConfiguration
    /// How many requests a caller may make.
    package let rateLimits: RateLimitSettings
    /// Every variable that this process reads, with its value (secrets redacted) and where it came from.
    package let settings: [ResolvedSetting]
    /// Sentences to log at the start: what is dangerous, and what is set without effect.
    package let notices: [String]

    /// Reads the settings of `process` from `environment` and from the file that `ENV_FILE` names (`.env` in the
    /// working directory if it is there); the environment wins.
    ///
    /// Throws `ConfigurationError`, which lists everything that is wrong and how to mend it.
    package static func load(
        process: ProcessKind, environment: [String: String] = ProcessInfo.processInfo.environment
    ) async throws(ConfigurationError) -> AppConfiguration {
        var reader = try await SettingsReader(process: process, environment: environment)
        let configuration = AppConfiguration(process: process, reader: &reader)
        guard reader.problems.isEmpty else { throw ConfigurationError(problems: reader.problems) }
        return configuration
    }

    private init(process: ProcessKind, reader: inout SettingsReader) {
        self.process = process
        environment = reader.read(SettingsList.environment)
        logging = LoggingSettings(
            level: reader.read(SettingsList.logLevel).level, format: reader.read(SettingsList.logFormat),
            stream: reader.read(SettingsList.logOutput))
        _ = reader.read(SettingsList.environmentFile)
        server = ServerConfiguration(&reader)
        database = PostgresSettings(&reader, process: process)
        litellm = LiteLLMSettings(&reader)
        http = HTTPSettings(&reader)
        auth = AuthConfiguration(&reader, publicURL: server.publicURL, environment: environment)
        users = NewUserConfiguration(&reader)
        keys = KeyConfiguration(&reader)
        models = ModelConfiguration(&reader)
        worker = WorkerConfiguration(&reader, litellmTimeout: litellm.timeout)
        usage = UsageConfiguration(&reader)
        rateLimits = RateLimitSettings(&reader)
        settings = reader.resolved
        var notices = reader.notices()
        if auth.mockAuth {
            notices.insert("MOCK_AUTH is on: anybody can sign in as any of the built-in users", at: 0)
        }
        self.notices = notices
    }

    /// One line for each variable that the process reads: `NAME=value  # source`. Secrets are redacted.
    package func render() -> String {
        settings.map { "\($0.name)=\($0.value)  # \($0.source)\n" }.joined()
    }
}
