import Foundation
import Logging
import ServiceLifecycle
import Shared
import Synchronization
import TestSupport
import Testing

@testable import Jobs

/// Engines on a test's own database, with a LiteLLM that the test scripts.
struct EngineHarness: Sendable {
    let database: TestDatabase
    let queue: JobQueue
    let upstream: ScriptedUpstream
    let services: JobServices
    static let catalog = JobCatalog([
        TestJob.self, UpstreamJob.self, ProtectedJob.self, ProbeJob.self, NoOpJob.self, JobsBulk.self, TextJob.self,
        UnmarkableJob.self, ModelJob.self, ModelUsageJob.self,
    ])
    static let logger: Logger = {
        var logger = Logger(label: "test")
        logger.logLevel =
            ProcessInfo.processInfo.environment["TEST_LOG_LEVEL"].flatMap { Logger.Level(rawValue: $0) } ?? .critical
        return logger
    }()

    var store: PostgresJobStore { queue.store }
    var client: PostgresClient { database.client }

    init(_ database: TestDatabase, catalog: JobCatalog = Self.catalog, litellm: LiteLLMClient? = nil) async throws {
        self.database = database
        queue = JobQueue(database: database.client, catalog: catalog, logger: Self.logger)
        try await queue.prepare()
        let upstream = ScriptedUpstream()
        self.upstream = upstream
        let transport = ScriptedTransport { try await upstream.answer($0) }
        services = JobServices(
            database: database.client,
            litellm: litellm
                ?? LiteLLMClient(
                    transport: transport,
                    settings: LiteLLMSettings(baseURL: "http://127.0.0.1:9", apiKey: Secret("sk-master-test-0000"))),
            sealer: try Sealer(keys: Secret("test:" + Data(repeating: 7, count: 32).base64EncodedString())),
            queue: queue,
            settings: ProvisioningSettings())
    }

    static var fastSettings: EngineSettings {
        var settings = EngineSettings()
        settings.poll = .milliseconds(50)
        settings.heartbeat = .milliseconds(100)
        settings.lease = .seconds(40)
        settings.sweep = .milliseconds(100)
        settings.drain = .seconds(5)
        settings.hardStop = .seconds(2)
        settings.probeLimit = .seconds(5)
        settings.breakerPolicy.firstOpen = .milliseconds(100)
        settings.breakerPolicy.longestOpen = .milliseconds(400)
        settings.breakerPolicy.rampInterval = .milliseconds(20)
        return settings
    }

    /// Measurements that nobody reads.
    static let metrics = EngineMetrics(factory: PrometheusMetricsFactory(PrometheusRegistry()))

    /// An engine on the test's pool, or on one of its own.
    func engine(
        _ settings: EngineSettings = fastSettings, database own: PostgresClient? = nil,
        metrics: PrometheusRegistry = PrometheusRegistry()
    ) -> JobEngine {
        JobEngine(
            settings: settings, services: services, database: own ?? client,
            listener: PostgresListener(
                settings: database.settings,
                channels: [JobChannel.ready, JobChannel.cancel, JobChannel.breakers], logger: Self.logger),
            logger: Self.logger, metrics: PrometheusMetricsFactory(metrics))
    }

    /// Runs engines (with their listeners) while `body` runs, then stops them gracefully.
    @discardableResult
    func running<Result: Sendable>(
        _ engines: [JobEngine], _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        var services: [ServiceGroupConfiguration.ServiceConfiguration] = []
        for engine in engines {
            services.append(.init(service: engine.listener))
            services.append(.init(service: engine))
        }
        let group = ServiceGroup(
            configuration: .init(services: services, gracefulShutdownSignals: [], logger: Self.logger))
        return try await withThrowingTaskGroup(of: Result?.self) { tasks in
            tasks.addTask {
                try await group.run()
                return nil
            }
            do {
                let result = try await body()
                await group.triggerGracefulShutdown()
                try await tasks.waitForAll()
                return result
            } catch {
                await group.triggerGracefulShutdown()
                // The body's error is the one to report.
                do { try await tasks.waitForAll() } catch {}
                throw error
            }
        }
    }

    func enqueue(_ job: some JobKind, _ options: JobOptions = JobOptions()) async throws -> Int64 {
        try await queue.enqueue(job, options: options).id
    }

    func state(_ id: Int64) async throws -> JobState? { try await queue.job(id: id)?.state }

    /// Polls until the job is in the state; fails the test after ten seconds.
    @discardableResult
    func wait(
        for id: Int64, _ state: JobState, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> JobSnapshot {
        var last: JobSnapshot?
        let isThere = try await eventually {
            last = try await queue.job(id: id)
            return last?.state == state
        }
        let found = last?.state.rawValue ?? "gone"
        try #require(isThere, "job \(id) is \(found), not \(state.rawValue)", sourceLocation: sourceLocation)
        return try #require(last)
    }

    /// Waits until no live job is left.
    func expectDrained(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let isDrained = try await eventually { try await count("select count(*) from jobs") == 0 }
        #expect(isDrained, sourceLocation: sourceLocation)
    }

    func count(_ query: PostgresQuery) async throws -> Int {
        let rows = try await client.query(query)
        let number: Int64 = try #require(rows.first).decode(Int64.self)
        return Int(number)
    }
}

extension JobEngine {
    /// The row that stands for it now.
    var workerId: Int32 { state.withLock { $0.workerId } }

    /// Whether a claim failed that may have taken jobs all the same.
    var isUncertain: Bool {
        get { state.withLock { $0.hasUncertainClaims } }
        set { state.withLock { $0.hasUncertainClaims = newValue } }
    }
}

/// The LiteLLM of a test: nobody is there until the test gives it answers.
final class ScriptedUpstream: Sendable {
    private let handler = Mutex<ScriptedTransport.Handler?>(nil)

    func answers(with handler: @escaping ScriptedTransport.Handler) { self.handler.withLock { $0 = handler } }

    func answer(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        guard let handler = handler.withLock({ $0 }) else {
            throw HTTPTransportError(
                .connect(refused: true), requestMayHaveReachedServer: false, message: "connection refused")
        }
        return try await handler(request)
    }
}

/// Polls a condition until it holds; false when it does not within the limit.
func eventually(
    within limit: Duration = .seconds(15), _ condition: () async throws -> Bool
) async throws -> Bool {
    let deadline = ContinuousClock.now + limit
    while deadline > .now {
        if try await condition() { return true }
        await WakeSignal().wait(atMost: .milliseconds(5))
    }
    return false
}

/// A gate that jobs wait at until the test opens it for good; waiting ends when the job is cancelled.
final class Gate: Sendable {
    private let waiting = Mutex<(isOpen: Bool, signals: [WakeSignal])>((false, []))
    private let arrived = WakeSignal()

    func open() {
        let signals = waiting.withLock { waiting in
            waiting.isOpen = true
            return waiting.signals
        }
        for signal in signals { signal.ring() }
    }

    func pass() async throws {
        let signal = WakeSignal()
        let isOpen = waiting.withLock { waiting in
            waiting.signals.append(signal)
            return waiting.isOpen
        }
        arrived.ring()
        if !isOpen { await signal.wait() }
        try Task.checkCancellation()
    }

    /// Waits until a job stands before the gate.
    func arrival() async { await arrived.wait(atMost: .seconds(15)) }
}
