import ArgumentParser
import Foundation
import Jobs
import Logging
import ServiceLifecycle
import Shared
import UnixSignals

/// `litemaasctl chaos`: the parts of `ops/chaos engine`.
struct ChaosCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chaos", abstract: "Harmless jobs, and workers for them: the parts of ops/chaos engine.",
        discussion: "For a scratch database only: never where real workers run.", shouldDisplay: false,
        subcommands: [ChaosFillCommand.self, ChaosWorkerCommand.self])
}

/// `litemaasctl chaos fill`.
struct ChaosFillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fill",
        abstract: "Enqueues harmless jobs: four fifths free, the rest in order on objects or failing at first.")

    @Option(help: "How many jobs.")
    var jobs = 1000

    @Option(help: "How long each of them takes, in milliseconds.")
    var jobMs = 100

    mutating func validate() throws {
        guard (1...10_000_000).contains(jobs) else { throw ValidationError("--jobs is 1 to 10000000") }
        guard (0...600_000).contains(jobMs) else { throw ValidationError("--job-ms is 0 to 600000") }
    }

    func run() async throws {
        try await DatabaseOptions.withClient { client, configuration, logger in
            guard configuration.environment != .production else {
                throw CommandFailure(description: "APP_ENV is production: these jobs do not belong into its database.")
            }
            try await Migrator.requireCurrent(client: client, atLeast: SchemaVersion.required)
            try await PostgresChaosStore().prepare(in: client)
            let queue = JobQueue(database: client, catalog: ChaosWork.catalog, logger: logger)
            try await queue.prepare()
            var done = 0
            while done < jobs {
                let count = min(1000, jobs - done)
                let first = done
                try await client.withTransaction { transaction in
                    try await Self.add(first..<first + count, milliseconds: jobMs, queue, in: transaction)
                }
                done += count
                if done % 10_000 == 0 { Console.error("\(done) of \(jobs) jobs enqueued") }
            }
        }
        Console.print("Jobs enqueued: \(jobs).")
    }

    private static func add(
        _ numbers: Range<Int>, milliseconds: Int, _ queue: JobQueue, in transaction: PostgresTransaction
    ) async throws {
        var free: [ChaosJob] = []
        for number in numbers {
            switch number % 10 {
            case 0:
                let job = ChaosOrderedJob(milliseconds: milliseconds, object: number / 10 % ChaosWork.objects)
                _ = try await queue.enqueue(job, in: transaction)
            case 5: _ = try await queue.enqueue(ChaosFlakyJob(milliseconds: milliseconds), in: transaction)
            default: free.append(ChaosJob(milliseconds: milliseconds))
            }
        }
        _ = try await queue.enqueueMany(free, in: transaction)
    }
}

/// `litemaasctl chaos worker`.
struct ChaosWorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Works on harmless jobs until SIGTERM.")

    @Option(help: "Jobs at a time.")
    var concurrency = 16

    @Option(help: "The lease, in seconds.")
    var lease = 10

    func run() async throws {
        let configuration = try await AppConfiguration.load(process: .cli)
        LoggingBootstrap.bootstrap(configuration.logging, service: "litemaas-chaos-worker")
        let logger = Logger(label: "litemaas.chaos")
        let database = PostgresClient(settings: configuration.database, logger: logger)
        var engineDatabase = configuration.database
        engineDatabase.maxConnections = 6
        engineDatabase.sessionSettings = JobEngine.plannerSettings
        let own = PostgresClient(settings: engineDatabase, logger: logger)
        let queue = JobQueue(database: database, catalog: ChaosWork.catalog, logger: logger)
        let transport = CurlTransport(settings: HTTPSettings(), logger: logger)
        let services = JobServices(
            database: database,
            // Nobody answers there, and no job asks.
            litellm: LiteLLMClient(
                transport: transport,
                settings: LiteLLMSettings(baseURL: "http://127.0.0.1:9", apiKey: Secret("sk-chaos"))),
            sealer: try Sealer(keys: Secret("chaos:" + Data(repeating: 1, count: 32).base64EncodedString())),
            queue: queue, settings: ProvisioningSettings())
        let listener = PostgresListener(
            settings: configuration.database,
            channels: [JobChannel.ready, JobChannel.cancel, JobChannel.breakers], logger: logger)
        var settings = EngineSettings()
        settings.name = "chaos-\(ProcessInfo.processInfo.processIdentifier)"
        settings.concurrency = concurrency
        settings.reservedConcurrency = 0
        settings.lease = .seconds(lease)
        settings.heartbeat = .seconds(max(1, lease / 5))
        settings.sweep = .seconds(2)
        let engine = JobEngine(
            settings: settings, services: services, database: own, listener: listener, logger: logger)
        let all: [any Service] = [transport, database, own, listener, engine]
        var group = ServiceGroupConfiguration(
            services: all.map {
                .init(
                    service: $0, successTerminationBehavior: .ignore,
                    failureTerminationBehavior: .gracefullyShutdownGroup)
            },
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        group.maximumGracefulShutdownDuration = .seconds(30)
        try await ServiceGroup(configuration: group).run()
    }
}
