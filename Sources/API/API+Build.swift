import Foundation
import Hummingbird
import Jobs
import Logging
import Metrics
import ServiceLifecycle
import Shared
import UnixSignals

/// The composition root: settings become services, in the order of their dependencies; they stop in reverse.
struct APIProcess {
    /// How long answers that are being written may take after SIGTERM.
    private static let drain: Duration = .seconds(20)
    private static let cancellation: Duration = .seconds(5)
    /// Connections that wait to be accepted.
    private static let backlog = 1024
    /// Endpoints of models that are tried at once.
    private static let maxTests = 16

    let configuration: AppConfiguration
    let logger: Logger

    /// Serves until SIGTERM or SIGINT, then lets the requests under way end.
    func run() async throws {
        let registry = PrometheusRegistry(descriptions: HTTPMetrics.descriptions + RateLimitMetrics.descriptions)
        MetricsSystem.bootstrap(PrometheusMetricsFactory(registry))
        ProcessMetrics.install(in: registry, service: "litemaas-api")

        var settings = configuration.database
        // Compiling a plan takes longer than any statement here: half a second for the statistics of jobs.
        settings.sessionSettings["jit"] = "off"
        let database = PostgresClient(settings: settings, logger: logger)
        try await Migrator.requireCurrent(client: database, atLeast: SchemaVersion.required)
        let queue = JobQueue(database: database, catalog: .standard, logger: logger)
        try await queue.prepare()
        let listener = PostgresListener(
            settings: configuration.database, channels: [JobChannel.finished], logger: logger)
        let waiters = JobWaiters(queue: queue, listener: listener, logger: logger)
        APIMetrics.install(in: registry, database: database, waiters: waiters)
        let fleet = FleetMetrics(database: database, workerId: nil, logger: logger)
        fleet.install(in: registry)

        // Only for signing in; nothing is opened before somebody does.
        let transport = CurlTransport(
            settings: HTTPSettings(
                caFile: configuration.auth.oauth.caFile, userAgent: "litemaas/\(BuildInfo.version)", metrics: false),
            logger: logger)
        // For administrators who try a model's endpoint.
        let endpoints = CurlTransport(
            settings: HTTPSettings(
                maxConnections: Self.maxTests, maxWaiting: 0,
                userAgent: "litemaas/\(BuildInfo.version)", metrics: false), logger: logger)
        let dependencies = try APIDependencies(
            settings: APISettings(configuration), database: database, queue: queue, waiters: waiters,
            sealer: configuration.keys.sealer, provisioning: ProvisioningSettings(configuration),
            provider: identityProvider(transport),
            tokens: await SessionTokens(
                secret: configuration.auth.jwtSecret, previous: configuration.auth.previousJWTSecret,
                lifetime: Int(configuration.auth.jwtLifetime.inSeconds)),
            endpoints: endpoints, registry: registry, logger: logger)
        let server = application(dependencies)

        // The waiters stop first: requests that wait for jobs are answered, and the server has nothing to wait for.
        let cleanup = RateLimitCleanup(database: database, logger: logger)
        let all: [any Service] = [
            database, transport, endpoints, listener, fleet, cleanup, dependencies.credentialUse, server, waiters,
        ]
        var group = ServiceGroupConfiguration(
            services: all.map {
                .init(
                    service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
                    failureTerminationBehavior: .gracefullyShutdownGroup)
            },
            gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        group.maximumGracefulShutdownDuration = Self.drain
        group.maximumCancellationDuration = Self.cancellation
        try await ServiceGroup(configuration: group).run()
        logger.info("stopped")
    }

    private func application(_ dependencies: APIDependencies) -> some ApplicationProtocol {
        Application(
            router: buildRouter(dependencies),
            server: .http1(limits: ConnectionLimits()),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.server.host, port: configuration.server.port), backlog: Self.backlog,
                availableConnectionsDelegate: .maximum(configuration.server.maxConnections, logger: logger)),
            logger: logger)
    }

    /// The mock, or what the checked settings name.
    private func identityProvider(_ transport: any HTTPTransport) -> any IdentityProvider {
        let auth = configuration.auth
        guard !auth.mockAuth else { return MockIdentityProvider(publicURL: configuration.server.publicURL) }
        return switch auth.oauth.provider {
        case .oidc: OIDCProvider(auth.oauth, transport: transport, logger: logger)
        case .openshift: OpenShiftProvider(auth.oauth, transport: transport, logger: logger)
        }
    }
}

extension APISettings {
    /// From the checked configuration.
    init(_ configuration: AppConfiguration) {
        environment = configuration.environment
        frontendOrigins = configuration.server.corsOrigins
        litellmURL = configuration.litellm.baseURL
        litellmTimeout = configuration.litellm.timeout
        defaultRoles = configuration.users.roles.compactMap(Role.init(spelling:))
        serviceTokens = configuration.auth.serviceTokens
        refreshLifetime = configuration.auth.refreshLifetime
        rateLimits = configuration.rateLimits
        trustedProxies = configuration.server.trustedProxies
        modelTestNetworks = configuration.models.testNetworks
        bootstrapAdmins = Set(configuration.auth.bootstrapAdmins.map { $0.lowercased() })
        defaultLimits = SpendingLimits(
            maxBudget: Decimal(configuration.users.maxBudget), tpmLimit: configuration.users.tpmLimit,
            rpmLimit: configuration.users.rpmLimit)
    }
}
