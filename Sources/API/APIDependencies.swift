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
    let health: HealthRoutes
    let auth: AuthRoutes
    let sessions: SessionRoutes
    let serviceTokens: ServiceTokenRoutes
    let permissions = PermissionRoutes()
    let authInformation: AuthInformationRoutes
    let keys: KeyRoutes
    let keySecrets: KeySecretRoutes
    let keyReports: KeyReportRoutes
    let adminKeys: AdminKeyRoutes
    let models: ModelRoutes
    let subscriptions: SubscriptionRoutes
    let adminSubscriptions: AdminSubscriptionRoutes
    let userSubscriptions: UserSubscriptionRoutes
    let modelStatus: ModelStatusRoutes
    let adminModels: AdminModelRoutes
    let users: UserRoutes
    let ownUser: OwnUserRoutes
    let adminUsers: AdminUserRoutes
    let audit: AuditRoutes
    let adminSystem: AdminSystemRoutes
    let usage: UsageRoutes
    let jobs: JobRoutes
    let adminJobs: AdminJobRoutes
    let adminQueues: AdminQueueRoutes
    let adminLimits: AdminLimitRoutes
    let adminSchedules: AdminScheduleRoutes
    let adminBreakers: AdminBreakerRoutes
    let adminWorkers: AdminWorkerRoutes

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
        system = SystemRoutes(settings: settings, provider: provider, registry: registry)
        docs = DocsRoutes(openAPI: try OpenAPIDocument.load(), page: try DocsPage.load())
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
        let keyProvisioning = KeyProvisioning(queue: queue, sealer: sealer, settings: provisioning)
        keys = KeyRoutes(database: database, sealer: sealer, provisioning: keyProvisioning, changes: changes)
        keySecrets = KeySecretRoutes(
            database: database, sealer: sealer, provisioning: keyProvisioning, changes: changes,
            revealEnabled: provisioning.keepsSecretsForReveal)
        keyReports = KeyReportRoutes(database: database)
        adminKeys = AdminKeyRoutes(
            database: database, provisioning: keyProvisioning, subscriptions: Subscriptions(queue: queue),
            changes: changes)
        models = ModelRoutes(database: database, catalogue: ModelCatalogue(queue: queue), changes: changes)
        let rights = Subscriptions(queue: queue)
        subscriptions = SubscriptionRoutes(database: database, subscriptions: rights, changes: changes)
        adminSubscriptions = AdminSubscriptionRoutes(
            database: database, queue: queue, subscriptions: rights, changes: changes)
        userSubscriptions = UserSubscriptionRoutes(database: database, subscriptions: rights, changes: changes)
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
        audit = AuditRoutes(database: database)
        adminSystem = AdminSystemRoutes(database: database)
        usage = UsageRoutes(database: database, collection: UsageCollection(queue: queue), changes: changes)
        let administration = JobAdministration(queue: queue)
        jobs = JobRoutes(queue: queue, waiters: waiters, changes: changes, administration: administration)
        adminJobs = AdminJobRoutes(administration: administration, changes: changes)
        adminQueues = AdminQueueRoutes(queues: QueueAdministration(queue: queue), changes: changes)
        adminLimits = AdminLimitRoutes(limits: JobLimits(queue: queue), changes: changes)
        adminSchedules = AdminScheduleRoutes(
            schedules: JobSchedules(queue: queue), queue: queue, changes: changes)
        adminBreakers = AdminBreakerRoutes(breakers: BreakerAdministration(queue: queue), changes: changes)
        adminWorkers = AdminWorkerRoutes(workers: WorkerAdministration(queue: queue), changes: changes)
    }
}
