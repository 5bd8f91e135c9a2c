extension SettingsList {
    // MARK: PostgreSQL

    static let databaseURL = Setting(
        "DATABASE_URL", .databaseURL, default: Secret(""), .database, usedBy: ProcessKind.allCases,
        requiredBy: ProcessKind.allCases, example: "postgresql://litemaas:PASSWORD@localhost:5432/litemaas",
        "The database. TLS as libpq does it, for example `?sslmode=verify-full&sslrootcert=system`.")
    static let databaseDirectURL = Setting(
        "DATABASE_DIRECT_URL", SettingParser<Secret>.databaseURL.optional, default: nil, .database,
        usedBy: ProcessKind.allCases,
        example: "postgresql://litemaas:PASSWORD@db:5432/litemaas",
        "The same database past a pooler, for notifications and migrations. Needed with `DATABASE_POOL_MODE=transaction`."
    )
    static let databasePoolMode = Setting(
        "DATABASE_POOL_MODE", .choice(), default: PostgresPoolMode.session, .database, usedBy: ProcessKind.allCases,
        "`transaction` when `DATABASE_URL` leads to PgBouncer or the like in transaction mode.")
    static let databasePreparedStatements = Setting(
        "DATABASE_PREPARED_STATEMENTS", SettingParser<Bool>.boolean.optional, default: nil, .database,
        usedBy: ProcessKind.allCases, example: "true",
        "Whether statements are prepared once per connection. Left out: unless `DATABASE_POOL_MODE=transaction`, which cannot."
    )
    static let databaseMaxConnections = Setting(
        "DATABASE_POOL_SIZE", aliases: ["DB_MAX_CONNECTIONS"], .integer(1...1000), default: 20, .database,
        usedBy: ProcessKind.allCases, "The most connections that one process keeps.")
    static let databaseMinConnections = Setting(
        "DATABASE_MIN_CONNECTIONS", .integer(0...1000), default: 2, .database, usedBy: ProcessKind.allCases,
        "Connections that are kept open when idle.")
    static let databaseIdleTimeout = Setting(
        "DB_IDLE_TIMEOUT", .duration(.milliseconds, 1000...86_400_000), default: .seconds(30), .database,
        usedBy: ProcessKind.allCases, "Idle connections above the minimum are closed after this time (milliseconds).")
    static let databaseConnectTimeout = Setting(
        "DB_CONNECTION_TIMEOUT", .duration(.milliseconds, 100...300_000), default: .seconds(5), .database,
        usedBy: ProcessKind.allCases, "How long connecting may take (milliseconds).")
    static let databaseLeaseTimeout = Setting(
        "DATABASE_LEASE_TIMEOUT_MS", .duration(.milliseconds, 10...300_000), default: .seconds(10), .database,
        usedBy: ProcessKind.allCases, "How long a caller waits for a free connection (milliseconds).")
    static let databaseStatementTimeout = Setting(
        "DATABASE_STATEMENT_TIMEOUT_MS", .duration(.milliseconds, 100...3_600_000), default: .seconds(30), .database,
        usedBy: ProcessKind.allCases, "How long a statement may run (milliseconds).")
    static let databaseMaxAge = Setting(
        "DATABASE_MAX_CONNECTION_AGE_MINUTES", .duration(.minutes, 1...10_080), default: .seconds(3600), .database,
        usedBy: ProcessKind.allCases, "Connections are replaced after this time (minutes).")
    static let databaseMaxWaiting = Setting(
        "DATABASE_MAX_WAITING", .integer(0...100_000), default: 1000, .database, usedBy: ProcessKind.allCases,
        "How many callers may wait for a connection; beyond that they are refused at once.")

    static let database = [
        databaseURL.definition, databaseDirectURL.definition, databasePoolMode.definition,
        databasePreparedStatements.definition, databaseMaxConnections.definition, databaseMinConnections.definition,
        databaseIdleTimeout.definition, databaseConnectTimeout.definition, databaseLeaseTimeout.definition,
        databaseStatementTimeout.definition, databaseMaxAge.definition, databaseMaxWaiting.definition,
        .unread(
            "TEST_DATABASE_URL", .database, .elsewhere("the test suite; `ops/test` sets it"), isSecret: true,
            example: "postgresql://postgres@127.0.0.1:5433/postgres",
            "A server on which tests may create and drop databases."),
    ]

    // MARK: LiteLLM

    static let litellmURL = Setting(
        "LITELLM_API_URL", .url(schemes: ["http", "https"]), default: "http://localhost:4000", .litellm,
        usedBy: ProcessKind.allCases, "Where LiteLLM is.")
    static let litellmKey = Setting(
        "LITELLM_API_KEY", .secret(), default: Secret(""), .litellm, usedBy: [.worker, .cli], requiredBy: [.worker],
        example: "sk-MASTER-KEY", "LiteLLM's master key, or a key with the rights of a proxy admin.")
    static let litellmTimeout = Setting(
        "LITELLM_TIMEOUT", .duration(.milliseconds, 100...600_000), default: .seconds(30), .litellm,
        usedBy: ProcessKind.allCases, "How long a call to LiteLLM may take (milliseconds).")
    static let litellmCAFile = Setting(
        "LITELLM_CA_FILE", SettingParser<String>.readableFile.optional, default: nil, .litellm,
        usedBy: [.worker, .cli],
        example: "/etc/ssl/litellm-ca.pem",
        "Certificate authorities (PEM) for LiteLLM's certificate, in place of the system's.")
    static let litellmProxy = Setting(
        "LITELLM_USE_ENV_PROXY", .boolean, default: false, .litellm, usedBy: [.worker, .cli],
        "Whether calls go through the proxy that `HTTPS_PROXY` and its like name.")

    static let litellmAutoSync = Setting(
        "LITELLM_AUTO_SYNC", .boolean, default: true, .litellm, usedBy: [.worker],
        "Whether models are read from LiteLLM regularly: the schedule `model-sync`, as long as no operator changed it.")
    static let litellmSyncInterval = Setting(
        "LITELLM_SYNC_INTERVAL", .duration(.minutes, 1...10_080), default: .seconds(3600), .litellm,
        usedBy: [.worker], "The time between two model syncs, for the schedule `model-sync` (minutes).")
    static let litellmMaxConcurrency = Setting(
        "LITELLM_MAX_CONCURRENCY", .integer(1...10_000), default: 128, .litellm, usedBy: [.worker],
        "How many jobs of one class (admin, usage) may use LiteLLM at once, all workers together. Each worker stays below its share by itself when LiteLLM grows slow or answers 429."
    )
    static let litellmLatencyTarget = Setting(
        "LITELLM_LATENCY_TARGET_MS", .duration(.milliseconds, 10...600_000), default: .seconds(5), .litellm,
        usedBy: [.worker],
        "A call that takes longer counts as a sign that LiteLLM has too much to do (milliseconds).")

    static let litellm = [
        litellmURL.definition, litellmKey.definition, litellmTimeout.definition, litellmCAFile.definition,
        litellmProxy.definition, litellmAutoSync.definition, litellmSyncInterval.definition,
        litellmMaxConcurrency.definition, litellmLatencyTarget.definition,
        .unread(
            "LITELLM_RETRIES", .litellm, .withoutEffect("each kind of job has its own retry policy"), example: "3",
            "How often a call was to be repeated."),
        .unread(
            "LITELLM_RETRY_DELAY", .litellm, .withoutEffect("each kind of job has its own retry policy"),
            example: "1000", "Milliseconds between two tries."),
        .unread(
            "LITELLM_ENABLE_MOCKING", .litellm,
            .withoutEffect("nothing is mocked inside the programs; run `litellm-simulator` instead"),
            example: "false", "Whether answers of LiteLLM were to be invented."),
    ]

    // MARK: Worker and jobs

    static let workerConcurrency = Setting(
        "WORKER_CONCURRENCY", .integer(1...10_000), default: 64, .worker, usedBy: [.worker],
        "How many jobs one worker process runs at a time.")
    static let workerQueues = Setting(
        "WORKER_QUEUES", .list(of: "names of queues"), default: [], .worker, usedBy: [.worker],
        example: "default,revocations", "The queues this worker takes jobs from. Left out: all.")
    static let workerLease = Setting(
        "WORKER_LEASE_SECONDS", .duration(.seconds, 3...3600), default: .seconds(45), .worker, usedBy: [.worker],
        "How long a worker that fell silent keeps its jobs before others take them over. Longer than `LITELLM_TIMEOUT`."
    )
    static let workerHeartbeat = Setting(
        "WORKER_HEARTBEAT_SECONDS", .duration(.seconds, 1...1200), default: .seconds(5), .worker, usedBy: [.worker],
        "How often a worker reports that it is alive; at most a third of the lease.")
    static let workerDrain = Setting(
        "WORKER_DRAIN_SECONDS", .duration(.seconds, 0...3600), default: .seconds(20), .worker, usedBy: [.worker],
        "How long running jobs may go on after SIGTERM before they are stopped and handed back.")
    static let historyRetention = Setting(
        "HISTORY_RETENTION_DAYS", .duration(.days, 1...3650), default: .seconds(30 * 86_400), .worker,
        usedBy: [.worker],
        "How long finished jobs are kept: the schedule `job-retention`, unless an operator changed it.")
    static let deadLetterRetention = Setting(
        "DEAD_LETTER_RETENTION_DAYS", .duration(.days, 1...3650), default: .seconds(90 * 86_400), .worker,
        usedBy: [.worker],
        "How long failed jobs wait to be retried by a person: the schedule `job-retention`, unless an operator changed it."
    )

    static let worker = [
        workerConcurrency.definition, workerQueues.definition, workerLease.definition, workerHeartbeat.definition,
        workerDrain.definition, historyRetention.definition, deadLetterRetention.definition,
    ]
}
