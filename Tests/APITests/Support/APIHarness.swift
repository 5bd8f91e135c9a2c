import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Metrics
import NIOCore
import ServiceLifecycle
import Shared
import Synchronization
import TestSupport
import Testing

@testable import API
@testable import Jobs

/// The whole API on a test's own database, with LiteLLM in memory and, where a test asks for one, a worker.
struct APIHarness: Sendable {
    let database: TestDatabase
    let queue: JobQueue
    let litellm: FakeLiteLLM
    let gate: TransportGate
    let dependencies: APIDependencies
    let tokens: SessionTokens
    let registry: PrometheusRegistry
    let client: any TestClientProtocol
    let sessions = SessionsOfUsers()

    /// How a test wants its API.
    struct Options: Sendable {
        /// Whether jobs are carried out.
        var hasWorker = false
        /// Whether requests go through a socket.
        var isLive = false
        var settings = APIHarness.settingsWithoutLimits
        var waiterLimit = 2000
        var provisioning = ProvisioningSettings()
        var logger = APIHarness.quiet
        /// How people sign in; nil for the made-up ones.
        var provider: (any IdentityProvider)?
        var now: @Sendable () -> Date = { Date() }
        /// What stands for the endpoints of models.
        var endpoints: any HTTPTransport = ScriptedTransport { _ in HTTPClientResponse(status: 500) }
    }

    static let quiet = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    static let sealerKey = "test:" + Data(repeating: 7, count: 32).base64EncodedString()
    static let jwtSecret = Secret("a secret of at least thirty-two bytes")

    /// Tests ask more often than a limit allows; those that mean the limits set them.
    static var settingsWithoutLimits: APISettings {
        var settings = APISettings()
        settings.rateLimits = .off
        return settings
    }

    static func run(_ body: @escaping @Sendable (APIHarness) async throws -> Void) async throws {
        try await run({ _ in }, body)
    }

    static func run(
        _ configure: (inout Options) -> Void, _ body: @escaping @Sendable (APIHarness) async throws -> Void
    ) async throws {
        var options = Options()
        configure(&options)
        let wanted = options
        try await withTestDatabase { try await run(on: $0, wanted, body) }
    }

    /// One of several processes of the API on one database.
    static func run(
        on database: TestDatabase, _ options: Options, _ body: @escaping @Sendable (APIHarness) async throws -> Void
    ) async throws {
        let parts = try await Parts(database, options)
        let application = Application(
            router: buildRouter(parts.dependencies), server: .http1(limits: ConnectionLimits()),
            configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
            services: parts.services, logger: options.logger)
        try await application.test(options.isLive ? .live : .router) { client in
            try await body(parts.harness(client))
        }
    }

    /// What stands behind the API.
    private struct Parts {
        let database: TestDatabase
        let queue: JobQueue
        let litellm = FakeLiteLLM()
        let gate: TransportGate
        let tokens: SessionTokens
        let registry = PrometheusRegistry(descriptions: HTTPMetrics.descriptions + RateLimitMetrics.descriptions)
        let dependencies: APIDependencies
        var services: [any Service]

        init(_ database: TestDatabase, _ options: Options) async throws {
            self.database = database
            queue = JobQueue(database: database.client, catalog: .standard, logger: options.logger)
            try await queue.prepare()
            let listener = PostgresListener(
                settings: database.settings, channels: [JobChannel.finished], logger: options.logger)
            let waiters = JobWaiters(
                queue: queue, listener: listener, limit: options.waiterLimit, logger: options.logger)
            gate = TransportGate(litellm)
            let sealer = try Sealer(keys: Secret(APIHarness.sealerKey))
            tokens = await SessionTokens(secret: APIHarness.jwtSecret, lifetime: 3600, now: options.now)
            dependencies = try APIDependencies(
                settings: options.settings, database: database.client, queue: queue, waiters: waiters, sealer: sealer,
                provisioning: options.provisioning,
                provider: options.provider ?? MockIdentityProvider(publicURL: options.settings.publicURL),
                tokens: tokens, endpoints: options.endpoints, registry: registry,
                metricsFactory: PrometheusMetricsFactory(registry),
                logger: options.logger)
            services = [listener, waiters]
            if options.hasWorker { services += worker(sealer, options) }
        }

        private func worker(_ sealer: Sealer, _ options: Options) -> [any Service] {
            var settings = EngineSettings()
            settings.poll = .milliseconds(50)
            settings.heartbeat = .milliseconds(200)
            settings.lease = .seconds(60)
            settings.sweep = .milliseconds(200)
            settings.drain = .milliseconds(100)
            settings.hardStop = .seconds(2)
            let listener = PostgresListener(
                settings: database.settings, channels: [JobChannel.ready, JobChannel.cancel, JobChannel.breakers],
                logger: options.logger)
            let litellm = LiteLLMClient(
                transport: gate,
                // The lease has to outlast a usage call, or none starts.
                settings: LiteLLMSettings(
                    baseURL: "http://litellm.test", apiKey: Secret("sk-master"), usageTimeout: .seconds(30)))
            let services = JobServices(
                database: database.client, litellm: litellm, sealer: sealer, queue: queue,
                settings: options.provisioning)
            let engine = JobEngine(
                settings: settings, services: services, database: database.client, listener: listener,
                logger: options.logger)
            return [listener, engine]
        }

        func harness(_ client: any TestClientProtocol) -> APIHarness {
            APIHarness(
                database: database, queue: queue, litellm: litellm, gate: gate, dependencies: dependencies,
                tokens: tokens, registry: registry, client: client)
        }
    }
}

/// The sessions that a test's users have.
final class SessionsOfUsers: Sendable {
    private let sessions = Mutex<[UUID: Session]>([:])

    func withLock<Value: Sendable>(_ body: (inout [UUID: Session]) -> Value) -> Value {
        sessions.withLock { body(&$0) }
    }
}

/// Stands between the worker and LiteLLM: open until a test closes it.
final class TransportGate: HTTPTransport {
    private struct State {
        var isClosed = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let transport: any HTTPTransport
    private let state = Mutex(State())

    init(_ transport: any HTTPTransport) { self.transport = transport }

    /// Requests that wait now.
    var waitingCount: Int { state.withLock { $0.waiting.count } }

    func close() { state.withLock { $0.isClosed = true } }

    func open() {
        let waiting = state.withLock { state in
            state.isClosed = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func send(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if state.isClosed { state.waiting.append(continuation) }
                return !state.isClosed
            }
            if isOpen { continuation.resume() }
        }
        return try await transport.send(request)
    }
}
