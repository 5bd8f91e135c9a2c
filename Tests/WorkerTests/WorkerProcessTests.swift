import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Jobs
import Logging
import NIOCore
import ServiceLifecycle
import Shared
import TestSupport
import Testing

@testable import Worker

@Suite("Worker process", .needsDatabase, .hangGuard)
struct WorkerProcessTests {
    private static let logger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }()

    private func parts(_ database: TestDatabase, _ litellm: FakeLiteLLM) throws -> (
        JobQueue, JobEngine, PostgresListener
    ) {
        let queue = JobQueue(database: database.client, catalog: .standard, logger: Self.logger)
        let services = JobServices(
            database: database.client, litellm: litellm.client,
            sealer: try Sealer(keys: Secret("test:" + Data(repeating: 7, count: 32).base64EncodedString())),
            queue: queue,
            settings: ProvisioningSettings())
        let listener = PostgresListener(
            settings: database.settings, channels: [JobChannel.ready, JobChannel.cancel, JobChannel.breakers],
            logger: Self.logger)
        let engine = JobEngine(
            settings: EngineSettings(), services: services, database: database.client, listener: listener,
            logger: Self.logger)
        return (queue, engine, listener)
    }

    @Test("health says alive and ready while it works, whatever LiteLLM does; metrics name the pools")
    func adminRoutes() async throws {
        try await withTestDatabase { database in
            let (_, engine, _) = try parts(database, FakeLiteLLM())
            let metrics = PrometheusRegistry(descriptions: EngineMetrics.descriptions)
            WorkerMetrics.install(in: metrics, engine: engine, pools: ["domain": database.client])
            let server = AdminServer(
                host: "127.0.0.1", port: 0, engine: engine, database: database.client, metrics: metrics,
                logger: Self.logger)
            try await Application(router: server.routes()).test(.router) { client in
                try await client.execute(uri: "/health/live", method: .get) { #expect($0.status == .ok) }
                try await client.execute(uri: "/health/ready", method: .get) { #expect($0.status == .ok) }
                try await client.execute(uri: "/metrics", method: .get) { response in
                    let text = String(buffer: response.body)
                    #expect(text.contains(#"litemaas_postgres_connections{pool="domain",state="active"}"#))
                }
                try await client.execute(uri: "/", method: .get) { #expect($0.status == .notFound) }
            }
        }
    }

    @Test("a worker on an older schema is not ready")
    func olderSchema() async throws {
        try await withTestDatabase { database in
            try await database.client.query("delete from schema_migrations where version > 1")
            let (_, engine, _) = try parts(database, FakeLiteLLM())
            let server = AdminServer(
                host: "127.0.0.1", port: 0, engine: engine, database: database.client,
                metrics: PrometheusRegistry(), logger: Self.logger)
            try await Application(router: server.routes()).test(.router) { client in
                try await client.execute(uri: "/health/ready", method: .get) { response in
                    #expect(response.status == .serviceUnavailable)
                    #expect(String(buffer: response.body).contains("database"))
                }
            }
        }
    }

    @Test(
        "the first start makes the schedules and asks for a model sync, others for nothing; the engine carries it out")
    func standingJobs() async throws {
        try await withTestDatabase { database in
            let litellm = FakeLiteLLM()
            let (queue, engine, listener) = try parts(database, litellm)
            let standing = StandingJobs(schedules: StandingSchedules(), queue: queue, logger: Self.logger)
            let group = ServiceGroup(
                configuration: .init(
                    services: [
                        .init(service: standing, successTerminationBehavior: .ignore),
                        .init(service: standing, successTerminationBehavior: .ignore),
                    ], gracefulShutdownSignals: [], logger: Self.logger))
            async let running: Void = group.run()
            let deadline = ContinuousClock.now + .seconds(20)
            var waiting = 0
            let made = try StandingSchedules().drafts().count
            while .now < deadline, waiting < made {
                waiting = try await Self.count("select count(*) from job_schedules", database)
                await Task.yield()
            }
            await group.triggerGracefulShutdown()
            try await running
            #expect(try await Self.count("select count(*) from job_schedules", database) == made)
            #expect(try await Self.count("select count(*) from jobs", database) == 1)
            #expect(try await Self.count("select count(*) from job_schedule_ticks where outcome = 3", database) == 1)

            let engines = ServiceGroup(
                configuration: .init(
                    services: [.init(service: listener), .init(service: engine)], gracefulShutdownSignals: [],
                    logger: Self.logger))
            async let working: Void = engines.run()
            while litellm.state.calls.isEmpty, .now < deadline { await Task.yield() }
            await engines.triggerGracefulShutdown()
            try await working
            #expect(litellm.state.calls.contains { $0.contains("/model/info") })
        }
    }

    private static func count(_ query: PostgresQuery, _ database: TestDatabase) async throws -> Int {
        let rows = try await database.client.query(query)
        let number: Int64 = try #require(rows.first).decode(Int64.self)
        return Int(number)
    }
}
