import Jobs
import Logging
import Metrics
import Shared

/// Everything that the routes reach. Made once, by the process or by a test.
struct APIDependencies: Sendable {
    let settings: APISettings
    let authenticator: Authenticator
    let metrics: HTTPMetrics
    let system: SystemRoutes
    let health: HealthRoutes
    let auth: AuthRoutes
    let keys: KeyRoutes
    let models: ModelRoutes
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
    ///   - registry: what `/metrics` shows.
    ///   - metricsFactory: where the counts of requests go.
    init(
        settings: APISettings, database: PostgresClient, queue: JobQueue, waiters: JobWaiters, sealer: Sealer,
        provisioning: ProvisioningSettings, provider: any IdentityProvider, tokens: SessionTokens,
        registry: PrometheusRegistry, metricsFactory: any MetricsFactory = MetricsSystem.factory, logger: Logger
    ) throws {
        let changes = Changes(database: database, queue: queue, waiters: waiters)
        let users = UserProvisioning(queue: queue)
        let authenticator = Authenticator(tokens: tokens, users: UserReader(database: database))
        self.settings = settings
        self.authenticator = authenticator
        metrics = HTTPMetrics(factory: metricsFactory)
        system = SystemRoutes(
            settings: settings, provider: provider, openAPI: try OpenAPIDocument.load(), registry: registry)
        health = HealthRoutes(
            database: database, queue: queue, readiness: Readiness(database: database, logger: logger),
            settings: settings)
        auth = AuthRoutes(
            signIn: SignIn(
                database: database, provider: provider, tokens: tokens, provisioning: users, settings: settings),
            authenticator: authenticator, provider: provider, database: database)
        keys = KeyRoutes(
            database: database, sealer: sealer,
            provisioning: KeyProvisioning(queue: queue, sealer: sealer, settings: provisioning), changes: changes)
        models = ModelRoutes(database: database, catalogue: ModelCatalogue(queue: queue), changes: changes)
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
