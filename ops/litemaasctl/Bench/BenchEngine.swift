import Foundation
import Jobs
import Logging
import ServiceLifecycle
import Shared

/// A worker of this process on the scratch database, put together as `litemaas-worker` does it.
struct BenchEngine: Sendable {
    static let catalog = JobCatalog([BenchJob.self, BenchPing.self, BenchSleep.self])

    let engine: JobEngine
    /// As in the worker: what it enqueues wakes the engine without a round trip.
    let queue: JobQueue
    let engineDatabase: PostgresClient

    /// Of a process that enqueues only, such as the API: it reaches the engine by NOTIFY.
    static func foreignQueue(_ database: PostgresClient, _ logger: Logger) async throws -> JobQueue {
        let queue = JobQueue(database: database, catalog: catalog, logger: logger)
        try await queue.prepare()
        return queue
    }

    /// Runs an engine while `body` runs.
    static func running<Result: Sendable>(
        _ database: BenchDatabase, workers: Int, _ body: @escaping @Sendable (BenchEngine) async throws -> Result
    ) async throws -> Result {
        let domain = PostgresClient(settings: database.settings, logger: database.logger)
        var engineSettings = database.settings
        engineSettings.maxConnections = 6
        engineSettings.minConnections = 2
        engineSettings.sessionSettings = JobEngine.plannerSettings
        let engineDatabase = PostgresClient(settings: engineSettings, logger: database.logger)
        let queue = JobQueue(database: domain, catalog: catalog, logger: database.logger)
        try await queue.prepare()
        let refusing = ScriptedTransport { _ in
            throw HTTPTransportError(
                .connect(refused: true), requestMayHaveReachedServer: false, message: "there is no LiteLLM")
        }
        let services = JobServices(
            database: domain,
            litellm: LiteLLMClient(
                transport: refusing,
                settings: LiteLLMSettings(baseURL: "http://127.0.0.1:9", apiKey: Secret("sk-bench"))),
            sealer: try Sealer(keys: Secret("bench:" + Data(repeating: 7, count: 32).base64EncodedString())),
            queue: queue, settings: ProvisioningSettings())
        var settings = EngineSettings()
        settings.concurrency = workers
        let listener = PostgresListener(
            settings: database.settings, channels: [JobChannel.ready, JobChannel.cancel, JobChannel.breakers],
            logger: database.logger)
        let engine = JobEngine(
            settings: settings, services: services, database: engineDatabase, listener: listener,
            logger: database.logger)
        let all: [any Service] = [domain, engineDatabase, listener, engine]
        let group = ServiceGroup(
            configuration: .init(
                services: all.map { .init(service: $0, successTerminationBehavior: .ignore) },
                gracefulShutdownSignals: [], logger: database.logger))
        return try await withThrowingTaskGroup(of: Result?.self) { tasks in
            tasks.addTask {
                try await group.run()
                return nil
            }
            let outcome: Swift.Result<Result, any Error>
            do {
                outcome = .success(
                    try await body(BenchEngine(engine: engine, queue: queue, engineDatabase: engineDatabase)))
            } catch {
                outcome = .failure(error)
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return try outcome.get()
        }
    }

    /// Waits until so many jobs have run and their ends are written down.
    func finish(_ count: Int, within limit: Duration) async throws {
        let deadline = ContinuousClock.now + limit
        while BenchTally.shared.ranCount < count || engine.runningCount > 0 {
            guard deadline > .now else {
                throw CommandFailure(
                    description: "Only \(BenchTally.shared.ranCount) of \(count) jobs ran within "
                        + "\(Int(limit.inSeconds)) s; the scratch database is dropped.")
            }
            // Seldom enough to cost nothing beside thousands of jobs.
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}
