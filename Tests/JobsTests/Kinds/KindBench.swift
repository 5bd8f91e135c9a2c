import Foundation
import Logging
import Shared
import TestSupport
import Testing

@testable import Jobs

/// What a test of job kinds stands on: a database, LiteLLM in memory, and attempts run by hand, one at a time, under
/// the same fence as the engine's.
struct KindBench: Sendable {
    let database: PostgresClient
    let litellm: FakeLiteLLM
    let services: JobServices
    let store = PostgresJobStore()
    let actor = AuditActor(userId: User.systemId, name: "tester", requestId: "request-1")

    static let kinds: [any JobKind.Type] = [
        TeamEnsure.self, TeamDelete.self, UserProvision.self, UserRealign.self, UserRealignPreview.self, KeyCreate.self,
        KeyVerify.self, KeyAccess.self, KeyRevoke.self,
        KeyDelete.self, KeyUpdate.self, KeyRotate.self, KeyRetire.self, KeyResetSpend.self,
        KeysSnapshot.self, KeysExpire.self, KeysBulk.self, KeysBulkExtend.self, KeysBulkRevoke.self,
        KeysBulkPurge.self,
        ModelSync.self, ModelApply.self, UsageFetchDay.self, SecretsPurge.self, ModelCascade.self,
        SubscriptionsExpire.self,
        QuotaReset.self, QuotaForgive.self, UserResetSpend.self, UsersBulkLimits.self, UsersSnapshot.self,
        UsageRefresh.self, UsageRebuild.self, UsageExport.self, UsagePurge.self, UsageRequestLog.self,
        ReconcileOrphans.self, DriftSettle.self, OrphanRevoke.self, KeyAdopt.self,
        IntegrationSync.self,
    ]

    /// - Parameter client: another LiteLLM than the one in memory.
    static func run<T: Sendable>(
        settings: ProvisioningSettings = ProvisioningSettings(), client: LiteLLMClient? = nil,
        _ body: @Sendable (KindBench) async throws -> T
    ) async throws -> T {
        try await withTestDatabase { test in
            let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
            let queue = JobQueue(database: test.client, catalog: JobCatalog(kinds), logger: logger)
            try await queue.prepare()
            let litellm = FakeLiteLLM()
            let key = Data(repeating: 7, count: 32).base64EncodedString()
            let services = JobServices(
                database: test.client, litellm: client ?? litellm.client, sealer: try Sealer(keys: Secret("k1:\(key)")),
                queue: queue, settings: settings)
            return try await body(KindBench(database: test.client, litellm: litellm, services: services))
        }
    }

    var keys: PostgresAPIKeyStore { PostgresAPIKeyStore() }
    var users: PostgresUserStore { PostgresUserStore() }

    var provisioning: KeyProvisioning {
        KeyProvisioning(queue: services.queue, sealer: services.sealer, settings: services.settings)
    }

    // MARK: Rows

    /// A model that keys can be asked for.
    func addModel(_ id: String) async throws {
        try await database.withTransaction { transaction in
            try await PostgresModelStore().upsert([ModelDescription(id: id, provider: "openai")], in: transaction)
        }
    }

    /// A user; with `isSynced` team and user are in LiteLLM already.
    func addUser(_ name: String = "alice", isSynced: Bool = false) async throws -> User {
        let new = NewUser(
            id: UUID(), username: name, email: "\(name)@example.com", fullName: name.capitalized,
            oauthProvider: "test", oauthId: name, limits: SpendingLimits(maxBudget: 100, budgetDuration: "monthly"))
        let user = try await database.withTransaction { transaction in
            try await UserProvisioning(queue: services.queue).create(new, by: actor, in: transaction).user
        }
        if isSynced { try await runAll() }
        return try #require(try await users.find(user.id, in: database))
    }

    /// A key for the model `gpt` unless `change` says otherwise, to which the user is subscribed before.
    func addKey(
        _ user: User, subscribes: Bool = true, change: @Sendable (inout KeyCreateRequest) -> Void = { _ in }
    ) async throws -> CreatedKey {
        var request = KeyCreateRequest(userId: user.id, modelIds: ["gpt"], name: "My key")
        change(&request)
        let asked = request
        if subscribes { try await database.subscribe(user.id, to: asked.modelIds) }
        return try await database.withTransaction { try await provisioning.create(asked, by: actor, in: $0) }
    }

    func revoke(_ key: CreatedKey, reason: RevokeReason = .deleted) async throws -> EnqueuedJob? {
        try await database.withTransaction { transaction in
            try await provisioning.revoke(key.key.id, reason: reason, by: actor, in: transaction).job
        }
    }

    func row(_ key: CreatedKey) async throws -> APIKey {
        try #require(try await keys.find(key.key.id, in: database))
    }

    /// Whether a sealed secret of the key is kept, due ones included.
    func keepsSecret(_ key: CreatedKey) async throws -> Bool {
        let rows = try await database.query("select 1 from sealed_secrets where row_id = \(key.key.id.text)")
        return !rows.isEmpty
    }

    // MARK: Attempts

    /// One attempt at a job: what the engine's claim and context make of it.
    func claim(_ jobId: Int64) async throws -> JobContext {
        let rows = try await database.query(
            """
            update jobs set state = 1, token = token + 1, attempt = attempt + 1, started_at = now(), worker_id = 1
            where id = \(jobId) returning token, attempt, max_attempts, requester_id, request_id
            """)
        let (token, attempt, limit, requester, request) = try #require(rows.first).decode(
            Int64.self, Int.self, Int.self, String?.self, String?.self)
        return JobContext(
            id: jobId, attempt: attempt, maxAttempts: limit, token: token,
            requester: JobRequester(id: requester, requestId: request), services: services, store: store,
            kind: "test", gate: nil, baseLogger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    /// The stored job as its kind and parameters.
    func job(_ jobId: Int64) async throws -> any JobKind {
        let rows = try await database.query(
            "select k.name, j.args from jobs j join job_kinds k on k.id = j.kind_id where j.id = \(jobId)")
        let (name, args) = try #require(rows.first).decode(String.self, Data.self)
        let kind = try #require(Self.kinds.first { $0.name == name })
        return try JSON.decoder.decode(kind, from: args)
    }

    /// Runs one attempt; throws what it throws. The job's row stays, waiting for another attempt after a failure.
    @discardableResult
    func attempt(_ jobId: Int64) async throws -> any Sendable {
        let context = try await claim(jobId)
        do {
            return try await Self.run(try await job(jobId), in: context)
        } catch {
            try await database.query(
                "update jobs set state = 3, errors = errors + 1 where id = \(jobId) and token = \(context.token)")
            throw error
        }
    }

    private static func run<Kind: JobKind>(_ kind: Kind, in context: JobContext) async throws -> any Sendable {
        try await kind.run(in: context)
    }

    /// Takes a job that succeeded out of the live table, and hands its object on.
    func finish(_ jobId: Int64) async throws {
        try await database.query(
            """
            with gone as (delete from jobs where id = \(jobId) returning order_key), freed as (
                delete from job_dependencies d where d.depends_on = \(jobId) returning d.job_id
            ), lighter as (
                update jobs set waits_for = waits_for - 1 where id in (select job_id from freed)
            ) select 1
            """)
    }

    /// Ends a job without success as the engine does.
    func end(_ jobId: Int64, as state: JobState, code: String = "tired") async throws {
        try await database.query("update jobs set state = 1, token = token + 1 where id = \(jobId)")
        let rows = try await database.query("select token from jobs where id = \(jobId)")
        let error = JobErrorInfo(
            errorClass: state == .failed ? .permanent : .cancelled, code: code, message: "No more.")
        _ = try await services.queue.end(
            jobId: jobId, token: try rows.one(Int64.self), as: state, error: error, by: nil, attempted: true)
    }

    /// Runs every job that is not due later, in the order in which they came, until none is left.
    func runAll() async throws {
        while true {
            let rows = try await database.query(
                "select id from jobs where state <> 2 and waits_for = 0 order by id limit 1")
            guard let jobId = try rows.first?.decode(Int64.self) else { return }
            try await attempt(jobId)
            try await finish(jobId)
        }
    }

    /// The live jobs of a kind, oldest first.
    func jobs(_ kind: any JobKind.Type) async throws -> [Int64] {
        try await database.query(
            """
            select j.id from jobs j join job_kinds k on k.id = j.kind_id where k.name = \(kind.name) order by j.id
            """
        ).map { try $0.decode(Int64.self) }
    }

    // MARK: Deaths

    /// Runs an attempt whose process dies at LiteLLM call number `call`, before or after its effect. False when the
    /// attempt came to its end without making that many calls.
    ///
    /// - Parameter stoppable: another LiteLLM than the one in memory.
    func dies(
        _ jobId: Int64, atCall call: Int, afterEffect: Bool, of stoppable: (any StoppableLiteLLM)? = nil
    ) async throws -> Bool {
        let litellm = stoppable ?? litellm
        let stops = litellm.stop(atCall: call, afterEffect: afterEffect)
        let events = AsyncStream<Bool>.makeStream()
        let attempt = Task {
            defer { events.continuation.yield(false) }
            try await self.attempt(jobId)
        }
        let watch = Task {
            for await _ in stops {
                events.continuation.yield(true)
                return
            }
        }
        var died = false
        for await event in events.stream {
            died = event
            break
        }
        watch.cancel()
        litellm.stopNobody()
        if !died {
            _ = try await attempt.value
            return false
        }
        // Whoever rescues the job gives it a new token: the dead attempt can change nothing any more, whatever it
        // still tries when its call is cancelled here.
        try await database.query("update jobs set token = token + 1 where id = \(jobId)")
        attempt.cancel()
        _ = await attempt.result
        return true
    }
}
