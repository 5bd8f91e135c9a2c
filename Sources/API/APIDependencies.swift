import Jobs
import Logging
import Metrics
import Shared

/// Everything that the routes reach. Made once, by the process or by a test.
struct APIDependencies: Sendable {
    let settings: APISettings
    let authenticator: Authenticator
    /// To be run with the process.
    let credentialUse: CredentialUse
    let metrics: HTTPMetrics
    let limits: RequestLimits
    let system: SystemRoutes
    let docs: DocsRoutes
    let config: ConfigRoutes
    let settingRoutes: SettingRoutes
    let health: HealthRoutes
    let auth: AuthRoutes
    let sessions: SessionRoutes
    let serviceTokens: ServiceTokenRoutes
    let permissions = PermissionRoutes()
    let authInformation: AuthInformationRoutes
    let models: ModelRoutes
    let modelStatus: ModelStatusRoutes
    let adminModels: AdminModelRoutes
    /// Keys and subscriptions.
    let rights: [any RouteGroup]
    let jobs: JobRoutes
    /// What operators see and change of the engine.
    let engine: [any RouteGroup]
    let users: UserRoutes
    let ownUser: OwnUserRoutes
    let adminUsers: AdminUserRoutes
    let userConflicts: UserConflictRoutes
    let teams: TeamRoutes
    let audit: AuditRoutes
    /// What was used, reconciliation, many keys at once, administration.
    let operations: [any RouteGroup]

    /// - Parameters:
    ///   - queue: prepared; enqueues in `database`.
    ///   - provider: how people sign in.
    ///   - tokens: signs and checks sessions.
    ///   - endpoints: reaches the endpoints of models that an administrator tests.
    ///   - registry: what `/metrics` shows.
    ///   - metricsFactory: where the counts of requests go.
    init(
        settings: APISettings, database: PostgresClient, queue: JobQueue, waiters: JobWaiters, sealer: Sealer,
        provisioning: ProvisioningSettings, provider: any IdentityProvider, tokens: SessionTokens,
        endpoints: any HTTPTransport, registry: PrometheusRegistry,
        metricsFactory: any MetricsFactory = MetricsSystem.factory, logger: Logger
    ) throws {
        let changes = Changes(database: database, queue: queue, waiters: waiters)
        let users = UserProvisioning(queue: queue)
        let use = CredentialUse(database: database, logger: logger)
        let authenticator = Authenticator(
            tokens: tokens, callers: CallerReader(database: database), use: use,
            configured: ConfiguredServiceTokens(settings.serviceTokens),
            denials: DeniedAccess(database: database, logger: logger))
        let sessions = Sessions(database: database, tokens: tokens, refreshLifetime: settings.refreshLifetime)
        credentialUse = use
        self.settings = settings
        self.authenticator = authenticator
        metrics = HTTPMetrics(factory: metricsFactory)
        limits = RequestLimits(
            settings: settings.rateLimits, database: database, metricsFactory: metricsFactory, logger: logger)
        system = SystemRoutes(registry: registry)
        docs = DocsRoutes(openAPI: try OpenAPIDocument.load(), page: try DocsPage.load())
        config = ConfigRoutes(database: database, settings: settings, provider: provider)
        self.settingRoutes = SettingRoutes(
            database: database, changes: changes, configuredLimits: settings.defaultLimits)
        health = HealthRoutes(
            database: database, queue: queue, readiness: Readiness(database: database, logger: logger),
            settings: settings)
        auth = AuthRoutes(
            signIn: SignIn(
                database: database, provider: provider, sessions: sessions, provisioning: users, settings: settings,
                logger: logger),
            provider: provider)
        authInformation = AuthInformationRoutes(provider: provider)
        self.sessions = SessionRoutes(
            sessions: sessions, authenticator: authenticator, provider: provider, settings: settings)
        serviceTokens = ServiceTokenRoutes(database: database, changes: changes)
        models = ModelRoutes(database: database, catalogue: ModelCatalogue(queue: queue), changes: changes)
        rights = Self.rights(
            database: database, queue: queue, sealer: sealer, provisioning: provisioning, changes: changes)
        modelStatus = ModelStatusRoutes(database: database)
        adminModels = AdminModelRoutes(
            database: database, queue: queue, sealer: sealer,
            probe: EndpointProbe(
                transport: endpoints, policy: AddressPolicy(allowed: settings.modelTestNetworks)),
            changes: changes)
        let people = UserAdministration(queue: queue)
        self.users = UserRoutes(database: database, administration: people, changes: changes)
        ownUser = OwnUserRoutes(database: database, administration: people, changes: changes)
        adminUsers = AdminUserRoutes(
            database: database, provisioning: users, administration: people, changes: changes, settings: settings)
        userConflicts = UserConflictRoutes(
            database: database, realignment: UserRealignment(queue: queue), changes: changes)
        teams = TeamRoutes(
            database: database, administration: TeamAdministration(queue: queue), changes: changes)
        audit = AuditRoutes(database: database)
        operations =
            Self.usage(database: database, queue: queue, changes: changes)
            + Self.usageExports(database: database, queue: queue, provisioning: provisioning, changes: changes)
            + Self.reconciliation(database: database, queue: queue, changes: changes)
            + Self.keyBatches(
                database: database, queue: queue, sealer: sealer, provisioning: provisioning, settings: settings,
                changes: changes)
            + Self.operatorViews(database: database, queue: queue, settings: settings, changes: changes)
        let administration = JobAdministration(queue: queue)
        jobs = JobRoutes(queue: queue, waiters: waiters, changes: changes, administration: administration)
        engine = Self.engine(administration, queue: queue, changes: changes)
    }

    private static func rights(
        database: PostgresClient, queue: JobQueue, sealer: Sealer, provisioning: ProvisioningSettings,
        changes: Changes
    ) -> [any RouteGroup] {
        let keys = KeyProvisioning(queue: queue, sealer: sealer, settings: provisioning)
        let subscriptions = Subscriptions(queue: queue)
        return [
            KeyRoutes(database: database, sealer: sealer, provisioning: keys, changes: changes),
            KeySecretRoutes(
                database: database, sealer: sealer, provisioning: keys, changes: changes,
                revealEnabled: provisioning.keepsSecretsForReveal),
            KeyReportRoutes(database: database),
            AdminKeyRoutes(database: database, provisioning: keys, subscriptions: subscriptions, changes: changes),
            SubscriptionRoutes(database: database, subscriptions: subscriptions, changes: changes),
            AdminSubscriptionRoutes(
                database: database, queue: queue, subscriptions: subscriptions, changes: changes),
            UserSubscriptionRoutes(database: database, subscriptions: subscriptions, changes: changes),
        ]
    }

    private static func engine(
        _ administration: JobAdministration, queue: JobQueue, changes: Changes
    ) -> [any RouteGroup] {
        [
            AdminJobRoutes(administration: administration, changes: changes),
            AdminQueueRoutes(queues: QueueAdministration(queue: queue), changes: changes),
            AdminLimitRoutes(limits: JobLimits(queue: queue), changes: changes),
            AdminScheduleRoutes(schedules: JobSchedules(queue: queue), queue: queue, changes: changes),
            AdminBreakerRoutes(breakers: BreakerAdministration(queue: queue), changes: changes),
            AdminWorkerRoutes(workers: WorkerAdministration(queue: queue), changes: changes),
        ]
    }
}
