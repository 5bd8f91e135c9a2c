/// Addresses, origins and proxies of the HTTP servers.
package struct ServerConfiguration: Sendable {
    /// `HOST`.
    package let host: String
    /// `PORT`: the API's.
    package let port: Int
    /// `WORKER_PORT`: the worker's health and metrics.
    package let workerPort: Int
    /// `PUBLIC_URL` without a slash at the end, or `http://localhost:` and the port.
    package let publicURL: String
    /// `CORS_ORIGIN`.
    package let corsOrigins: [String]
    /// `TRUSTED_PROXIES`.
    package let trustedProxies: [IPNetwork]
    /// `HTTP_MAX_CONNECTIONS`: the API's.
    package let maxConnections: Int

    init(_ reader: inout SettingsReader) {
        host = reader.read(SettingsList.host)
        port = reader.read(SettingsList.port)
        workerPort = reader.read(SettingsList.workerPort)
        publicURL = reader.read(SettingsList.publicURL) ?? "http://localhost:\(port)"
        corsOrigins = reader.read(SettingsList.corsOrigins)
        trustedProxies = reader.read(SettingsList.trustedProxies)
        maxConnections = reader.read(SettingsList.maxConnections)
    }
}

/// Sign-in and access.
package struct AuthConfiguration: Sendable {
    /// `JWT_SECRET`.
    package let jwtSecret: Secret
    /// `JWT_SECRET_PREVIOUS`.
    package let previousJWTSecret: Secret?
    /// `JWT_EXPIRES_IN`.
    package let jwtLifetime: Duration
    /// `REFRESH_TOKEN_EXPIRES_IN`.
    package let refreshLifetime: Duration
    /// `ADMIN_API_KEYS`.
    package let serviceTokens: [Secret]
    /// `MOCK_AUTH`; never true in production.
    package let mockAuth: Bool
    /// `ADMIN_BOOTSTRAP_USERS`: user names or e-mail addresses.
    package let bootstrapAdmins: [String]
    /// The OAuth provider; unchecked where `mockAuth` takes its place.
    package let oauth: OAuthConfiguration

    init(_ reader: inout SettingsReader, publicURL: String, environment: AppEnvironment) {
        jwtSecret = reader.read(SettingsList.jwtSecret)
        previousJWTSecret = reader.read(SettingsList.previousJWTSecret)
        jwtLifetime = reader.read(SettingsList.jwtLifetime)
        refreshLifetime = reader.read(SettingsList.refreshLifetime)
        serviceTokens = reader.read(SettingsList.serviceTokens)
        mockAuth = reader.read(SettingsList.mockAuth)
        bootstrapAdmins = reader.read(SettingsList.bootstrapAdmins)
        oauth = OAuthConfiguration(
            &reader, publicURL: publicURL, environment: environment, isNeeded: !mockAuth)
        if mockAuth, environment == .production {
            reader.refuse(
                SettingsList.mockAuth.definition, "is true while APP_ENV is production: anybody could sign in",
                fix: "set it to false or leave it out")
        }
    }
}

/// What a new user gets.
package struct NewUserConfiguration: Sendable {
    /// `DEFAULT_USER_ROLES`: `user`, `readonly`, `admin-readonly`, `admin`.
    package let roles: [String]
    /// `DEFAULT_USER_MAX_BUDGET`.
    package let maxBudget: Double
    /// `DEFAULT_USER_TPM_LIMIT`.
    package let tpmLimit: Int
    /// `DEFAULT_USER_RPM_LIMIT`.
    package let rpmLimit: Int

    init(_ reader: inout SettingsReader) {
        roles = reader.read(SettingsList.defaultRoles)
        maxBudget = reader.read(SettingsList.defaultBudget)
        tpmLimit = reader.read(SettingsList.defaultTPM)
        rpmLimit = reader.read(SettingsList.defaultRPM)
    }
}

/// Keys and the secrets at rest.
package struct KeyConfiguration: Sendable {
    /// Made of `SECRETS_KEYS`; one with a random key where a process does not need it.
    package let sealer: Sealer
    /// `SECRET_RETENTION_MINUTES`.
    package let secretRetention: Duration
    /// `KEY_DELETE_GRACE_MINUTES`.
    package let deleteGrace: Duration
    /// `KEY_ROTATION_GRACE_MINUTES`.
    package let rotationGrace: Duration
    /// `KEY_REVEAL_ENABLED`.
    package let revealEnabled: Bool
    /// `MAX_KEYS_PER_USER`.
    package let maxPerUser: Int
    /// `BULK_RESULTS_WINDOW_MINUTES`.
    package let bulkResultsWindow: Duration
    /// `BULK_RETENTION_DAYS`.
    package let batchRetention: Duration

    init(_ reader: inout SettingsReader) {
        sealer = reader.read(SettingsList.secretsKeys)
        secretRetention = reader.read(SettingsList.secretRetention)
        deleteGrace = reader.read(SettingsList.keyDeleteGrace)
        rotationGrace = reader.read(SettingsList.keyRotationGrace)
        revealEnabled = reader.read(SettingsList.keyReveal)
        bulkResultsWindow = reader.read(SettingsList.bulkResultsWindow)
        batchRetention = reader.read(SettingsList.bulkRetention)
        maxPerUser = reader.read(SettingsList.maxKeysPerUser)
    }
}

/// The worker.
package struct WorkerConfiguration: Sendable {
    /// `WORKER_CONCURRENCY`.
    package let concurrency: Int
    /// `WORKER_QUEUES`; empty for all.
    package let queues: [String]
    /// `WORKER_LEASE_SECONDS`.
    package let lease: Duration
    /// `WORKER_HEARTBEAT_SECONDS`; at most a third of the lease.
    package let heartbeat: Duration
    /// `WORKER_DRAIN_SECONDS`.
    package let drain: Duration
    /// `HISTORY_RETENTION_DAYS`.
    package let historyRetention: Duration
    /// `DEAD_LETTER_RETENTION_DAYS`.
    package let deadLetterRetention: Duration
    /// `LITELLM_AUTO_SYNC`.
    package let syncsModels: Bool
    /// `LITELLM_SYNC_INTERVAL`.
    package let modelSyncInterval: Duration
    /// `LITELLM_MAX_CONCURRENCY`: of the whole fleet, for each class.
    package let upstreamConcurrency: Int
    /// `LITELLM_LATENCY_TARGET_MS`.
    package let upstreamLatencyTarget: Duration

    init(_ reader: inout SettingsReader, litellmTimeout: Duration) {
        concurrency = reader.read(SettingsList.workerConcurrency)
        queues = reader.read(SettingsList.workerQueues)
        lease = reader.read(SettingsList.workerLease)
        heartbeat = reader.read(SettingsList.workerHeartbeat)
        drain = reader.read(SettingsList.workerDrain)
        historyRetention = reader.read(SettingsList.historyRetention)
        deadLetterRetention = reader.read(SettingsList.deadLetterRetention)
        syncsModels = reader.read(SettingsList.litellmAutoSync)
        modelSyncInterval = reader.read(SettingsList.litellmSyncInterval)
        upstreamConcurrency = reader.read(SettingsList.litellmMaxConcurrency)
        upstreamLatencyTarget = reader.read(SettingsList.litellmLatencyTarget)
        check(&reader, litellmTimeout: litellmTimeout)
    }

    private func check(_ reader: inout SettingsReader, litellmTimeout: Duration) {
        if heartbeat * 3 > lease {
            reader.refuse(
                SettingsList.workerHeartbeat.definition,
                "is \(heartbeat.inWords), more than a third of WORKER_LEASE_SECONDS, which is \(lease.inWords): one "
                    + "lost report would cost a living worker its jobs",
                fix: "set it to at most \(lease.components.seconds / 3), or raise WORKER_LEASE_SECONDS")
        }
        // No call starts that could outlive the lease, and the lease is a heartbeat or two old when one starts.
        let longest = litellmTimeout + heartbeat * 2 + .seconds(1)
        if lease < longest {
            reader.refuse(
                SettingsList.workerLease.definition,
                "is \(lease.inWords), too short for calls of LITELLM_TIMEOUT, which is \(litellmTimeout.inWords): "
                    + "none could start",
                fix: "set it to at least \(Int(longest.inSeconds.rounded(.up))), or lower LITELLM_TIMEOUT")
        }
    }
}

extension Duration {
    fileprivate var inWords: String {
        inMilliseconds % 1000 == 0 ? "\(inMilliseconds / 1000) s" : "\(inMilliseconds) ms"
    }
}
