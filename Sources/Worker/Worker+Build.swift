import Jobs
import Logging
import Metrics
import ServiceLifecycle
import Shared
import UnixSignals

/// The composition root: settings become services, in the order of their dependencies; they stop in reverse.
struct WorkerProcess {
    let configuration: AppConfiguration
    let logger: Logger

    /// Works until SIGTERM or SIGINT, then drains.
    func run() async throws {
        let metrics = PrometheusRegistry(descriptions: EngineMetrics.descriptions)
        MetricsSystem.bootstrap(PrometheusMetricsFactory(metrics))
        ProcessMetrics.install(in: metrics, service: "litemaas-worker")

        let settings = configuration.database
        let database = PostgresClient(settings: settings, logger: logger)
        try await Migrator.requireCurrent(client: database, atLeast: SchemaVersion.required)

        let transport = CurlTransport(settings: configuration.http, logger: logger)
        let queue = JobQueue(database: database, catalog: .standard, logger: logger)
        let services = JobServices(
            database: database,
            litellm: LiteLLMClient(transport: transport, settings: configuration.litellm),
            sealer: configuration.keys.sealer, queue: queue, settings: ProvisioningSettings(configuration))

        let engineDatabase = PostgresClient(settings: engineSettings(from: settings), logger: logger)
        let listener = PostgresListener(
            settings: settings, channels: [JobChannel.ready, JobChannel.cancel, JobChannel.breakers], logger: logger)
        let engine = JobEngine(
            settings: workerSettings, services: services, database: engineDatabase, listener: listener, logger: logger)
        WorkerMetrics.install(in: metrics, engine: engine, pools: ["domain": database, "engine": engineDatabase])
        let fleet = FleetMetrics(
            database: engineDatabase, workerId: { engine.workerId }, logger: logger,
            heardClock: { engine.learn(clockOffset: $0) })
        fleet.install(in: metrics)
        let admin = AdminServer(
            host: configuration.server.host, port: configuration.server.workerPort, engine: engine, database: database,
            metrics: metrics, logger: logger)

        let all: [any Service] = [
            transport, database, engineDatabase, listener, admin,
            StandingJobs(schedules: StandingSchedules(configuration), queue: queue, logger: logger), fleet, engine,
        ]
        var group = ServiceGroupConfiguration(
            services: all.map {
                .init(
                    service: $0, successTerminationBehavior: .ignore,
                    failureTerminationBehavior: .gracefullyShutdownGroup)
            },
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        group.maximumGracefulShutdownDuration = configuration.worker.drain + .seconds(15)
        group.maximumCancellationDuration = .seconds(5)
        try await ServiceGroup(configuration: group).run()
        logger.info("stopped")
    }

    private var workerSettings: EngineSettings {
        var settings = EngineSettings()
        settings.version = BuildInfo.version
        settings.queues = configuration.worker.queues.isEmpty ? nil : configuration.worker.queues
        settings.concurrency = configuration.worker.concurrency
        settings.lease = configuration.worker.lease
        settings.heartbeat = configuration.worker.heartbeat
        settings.drain = configuration.worker.drain
        settings.upstreamConcurrency = configuration.worker.upstreamConcurrency
        settings.upstreamLatencyTarget = configuration.worker.upstreamLatencyTarget
        settings.probeLimit = configuration.litellm.timeout + .seconds(5)
        return settings
    }

    /// Few connections for claims, finishes, heartbeats and care, whatever the handlers do with theirs.
    private func engineSettings(from domain: PostgresSettings) -> PostgresSettings {
        var settings = domain
        settings.maxConnections = 6
        settings.minConnections = 2
        settings.applicationName = "litemaas-worker-engine"
        settings.sessionSettings = JobEngine.plannerSettings
        return settings
    }
}
