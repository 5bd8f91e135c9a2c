// The settings structs of components are declared beside them; here they get their values.

extension PostgresSettings {
    init(_ reader: inout SettingsReader, process: ProcessKind) {
        let direct = reader.read(SettingsList.databaseDirectURL)
        self.init(url: reader.read(SettingsList.databaseURL), directURL: direct)
        poolMode = reader.read(SettingsList.databasePoolMode)
        preparedStatements = reader.read(SettingsList.databasePreparedStatements) ?? (poolMode == .session)
        maxConnections = reader.read(SettingsList.databaseMaxConnections)
        minConnections = reader.read(SettingsList.databaseMinConnections)
        idleTimeout = reader.read(SettingsList.databaseIdleTimeout)
        connectTimeout = reader.read(SettingsList.databaseConnectTimeout)
        leaseTimeout = reader.read(SettingsList.databaseLeaseTimeout)
        statementTimeout = reader.read(SettingsList.databaseStatementTimeout)
        maxAge = reader.read(SettingsList.databaseMaxAge)
        maxWaiting = reader.read(SettingsList.databaseMaxWaiting)
        applicationName = "litemaas-\(process.rawValue)"
        if poolMode == .transaction, direct == nil {
            reader.refuse(
                SettingsList.databaseDirectURL.definition,
                "is not set, but notifications and migrations do not pass a pooler in transaction mode",
                fix: "set it to the URL of the database itself, or DATABASE_POOL_MODE to session")
        }
        if poolMode == .transaction, preparedStatements {
            reader.refuse(
                SettingsList.databasePreparedStatements.definition,
                "is true, but prepared statements do not pass a pooler in transaction mode",
                fix: "leave it out, or set DATABASE_POOL_MODE to session")
        }
        if minConnections > maxConnections {
            reader.refuse(
                SettingsList.databaseMinConnections.definition,
                "is \(minConnections), more than DATABASE_POOL_SIZE, which is \(maxConnections)",
                fix: "set it to at most \(maxConnections)")
        }
    }
}

extension LiteLLMSettings {
    init(_ reader: inout SettingsReader) {
        let timeout = reader.read(SettingsList.litellmTimeout)
        // One limit for every call: a worker's lease has to outlast it.
        self.init(
            baseURL: reader.read(SettingsList.litellmURL), apiKey: reader.read(SettingsList.litellmKey),
            timeout: timeout, usageTimeout: timeout)
        connectTimeout = min(connectTimeout, timeout)
    }
}

extension HTTPSettings {
    init(_ reader: inout SettingsReader) {
        self.init(
            caFile: reader.read(SettingsList.litellmCAFile),
            proxyFromEnvironment: reader.read(SettingsList.litellmProxy),
            userAgent: "litemaas/\(BuildInfo.version)")
    }
}
