import Foundation
import Logging
import Shared
import Testing

/// An environment with everything that the API and the worker need, cut off from any `.env` of the working directory.
let completeEnvironment = [
    "ENV_FILE": "none",
    "DATABASE_URL": "postgresql://app:hunter2@localhost/app",
    "JWT_SECRET": "jwt-secret-jwt-secret-jwt-secret!",
    "SECRETS_KEYS": "k1:" + Data(repeating: 7, count: 32).base64EncodedString(),
    "LITELLM_API_KEY": "sk-master-local",
    "OAUTH_CLIENT_ID": "litemaas",
    "OAUTH_CLIENT_SECRET": "client-secret",
    "OAUTH_ISSUER": "https://sso.example",
    "OPENSHIFT_API_URL": "https://api.example:6443",
]

func load(_ process: ProcessKind = .api, _ changes: [String: String] = [:]) async throws -> AppConfiguration {
    try await AppConfiguration.load(
        process: process, environment: completeEnvironment.merging(changes) { _, new in new })
}

func problems(_ process: ProcessKind = .api, _ changes: [String: String]) async throws -> [ConfigurationProblem] {
    do {
        _ = try await load(process, changes)
        return []
    } catch let error as ConfigurationError {
        return error.problems
    }
}

@Suite struct AppConfigurationTests {
    @Test func defaultsAreThoseOfTheDocumentation() async throws {
        let api = try await load(.api)
        #expect(api.environment == .development)
        #expect(api.server.port == 8080)
        #expect(api.server.publicURL == "http://localhost:8080")
        #expect(api.server.host == "0.0.0.0")
        #expect(api.server.corsOrigins == ["http://localhost:3000"])
        #expect(api.database.maxConnections == 20)
        #expect(api.database.connectTimeout == .seconds(5))
        #expect(api.database.directURL == api.database.url)
        #expect(api.database.preparedStatements)
        #expect(api.litellm.baseURL == "http://localhost:4000")
        #expect(api.litellm.timeout == .seconds(30))
        #expect(api.auth.jwtLifetime == .seconds(86_400))
        #expect(!api.auth.mockAuth)
        #expect(api.users.roles == ["user"])
        #expect(api.users.maxBudget == 100)
        #expect(api.keys.maxPerUser == 10)
        let worker = try await load(.worker)
        #expect(worker.worker.lease == .seconds(45))
        #expect(worker.worker.heartbeat == .seconds(5))
        #expect(worker.worker.queues == [])
        #expect(worker.keys.secretRetention == .seconds(900))
        #expect(worker.keys.batchRetention == .seconds(365 * 86_400))
        #expect(worker.keys.deleteGrace == .seconds(600))
        #expect(worker.notices == [])
    }

    @Test func namesOfTheSeedWork() async throws {
        let api = try await load(
            .api,
            [
                "NODE_ENV": "test", "DB_MAX_CONNECTIONS": "7", "DB_IDLE_TIMEOUT": "2000", "OAUTH_MOCK_ENABLED": "true",
                "INITIAL_ADMIN_USERS": "alice, bob@example.com", "DEFAULT_USER_ROLES": #"["user","adminReadonly"]"#,
                "JWT_EXPIRES_IN": "12h", "LITELLM_TIMEOUT": "1500", "DEFAULT_USER_MAX_BUDGET": "12.5",
                "LOG_LEVEL": "warn", "CORS_ORIGIN": "https://a.example/, http://localhost:3000",
                "LITELLM_API_URL": "https://litellm.example:4000/",
            ])
        #expect(api.environment == .test)
        #expect(api.database.maxConnections == 7)
        #expect(api.database.idleTimeout == .seconds(2))
        #expect(api.auth.mockAuth)
        #expect(api.auth.bootstrapAdmins == ["alice", "bob@example.com"])
        #expect(api.users.roles == ["user", "admin-readonly"])
        #expect(api.users.maxBudget == 12.5)
        #expect(api.auth.jwtLifetime == .seconds(12 * 3600))
        #expect(api.litellm.timeout == .milliseconds(1500))
        #expect(api.logging.level == .warning)
        #expect(api.server.corsOrigins == ["https://a.example", "http://localhost:3000"])
        #expect(api.litellm.baseURL == "https://litellm.example:4000")
        #expect(api.notices.contains { $0.hasPrefix("MOCK_AUTH is on") })
    }

    @Test func eachProcessNeedsItsOwn() async throws {
        let none = completeEnvironment.mapValues { $0 == "none" ? $0 : "" }
        #expect(
            try await problems(.api, none).map(\.variable) == [
                "DATABASE_URL", "JWT_SECRET", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_ISSUER", "SECRETS_KEYS",
            ])
        #expect(
            try await problems(.worker, none).map(\.variable) == ["DATABASE_URL", "LITELLM_API_KEY", "SECRETS_KEYS"])
        #expect(try await problems(.cli, none).map(\.variable) == ["DATABASE_URL"])
    }

    @Test func listsEveryProblemWithValueAndFix() async throws {
        let error = await #expect(throws: ConfigurationError.self) {
            try await load(.api, ["PORT": "99999", "LOG_LEVEL": "loud", "JWT_SECRET": "short-one", "DATABASE_URL": ""])
        }
        let text = try #require(error).description
        #expect(error?.problems.count == 4)
        #expect(text.contains("The configuration has 4 problems:"))
        #expect(text.contains("PORT is '99999' and must be a whole number from 1 to 65535. Fix: set it to"))
        #expect(text.contains("LOG_LEVEL is 'loud' and must be one of trace, debug"))
        #expect(text.contains("JWT_SECRET must be a secret of at least 32 bytes (it has 9 bytes). Fix: set it to what"))
        #expect(text.contains("DATABASE_URL is not set. Fix:"))
        #expect(!text.contains("short-one"))
    }

    @Test(arguments: [
        ("APP_ENV", "live"), ("PORT", "0"), ("PORT", "8080x"), ("CORS_ORIGIN", "*"), ("CORS_ORIGIN", "http://a/b"),
        ("DATABASE_URL", "mysql://x/y"), ("DATABASE_POOL_SIZE", "-1"), ("DB_IDLE_TIMEOUT", "soon"),
        ("DB_CONNECTION_TIMEOUT", "99999999999999999999"), ("LITELLM_API_URL", "litellm:4000"),
        ("LITELLM_API_URL", "http://user:pw@host"), ("MOCK_AUTH", "ja"), ("DEFAULT_USER_ROLES", "king"),
        ("DEFAULT_USER_ROLES", "[user"), ("DEFAULT_USER_MAX_BUDGET", "nan"), ("DEFAULT_USER_MAX_BUDGET", "-1"),
        ("SECRETS_KEYS", "k1:short"), ("JWT_EXPIRES_IN", "24"),
        ("DATABASE_PREPARED_STATEMENTS", "x"), ("PUBLIC_URL", "ftp://x"),
    ])
    func refusesWrongValues(name: String, value: String) async throws {
        let found = try await problems(.api, [name: value])
        #expect(found.map(\.variable) == [name])
        let mayShow = !["DATABASE_URL", "SECRETS_KEYS"].contains(name)
        #expect(found.first?.problem.contains(value) == mayShow)
    }

    @Test(arguments: [
        ("LITELLM_CA_FILE", "/no/such/file"), ("LITELLM_USE_ENV_PROXY", "perhaps"), ("SECRET_RETENTION_MINUTES", "0"),
        ("WORKER_CONCURRENCY", "0"), ("HISTORY_RETENTION_DAYS", "12h"), ("BULK_RETENTION_DAYS", "0"),
        ("WORKER_DRAIN_SECONDS", "-1"),
    ])
    func refusesWrongValuesOfTheWorker(name: String, value: String) async throws {
        let found = try await problems(.worker, [name: value])
        #expect(found.map(\.variable) == [name])
        #expect(found.first?.problem.contains(value) == true)
        #expect(try await problems(.api, [name: value]) == [], "the API does not read it")
    }

    @Test func mockSignInIsRefusedInProduction() async throws {
        let found = try await problems(.api, ["MOCK_AUTH": "true", "APP_ENV": "production"])
        #expect(found.map(\.variable) == ["MOCK_AUTH"])
        #expect(try await problems(.api, ["MOCK_AUTH": "true", "NODE_ENV": "production"]).count == 1)
        #expect(try await problems(.api, ["MOCK_AUTH": "true"]) == [])
    }

    @Test func heartbeatMustFitTheLease() async throws {
        let found = try await problems(.worker, ["WORKER_HEARTBEAT_SECONDS": "16", "LITELLM_TIMEOUT": "5s"])
        #expect(found.map(\.variable) == ["WORKER_HEARTBEAT_SECONDS"])
        #expect(
            try await problems(
                .worker,
                ["WORKER_HEARTBEAT_SECONDS": "16", "WORKER_LEASE_SECONDS": "48", "LITELLM_TIMEOUT": "5s"]) == [])
        #expect(try await problems(.api, ["WORKER_HEARTBEAT_SECONDS": "16"]) == [], "the API does not read it")
    }

    @Test func leaseMustOutlastACallToLiteLLM() async throws {
        let found = try await problems(.worker, ["LITELLM_TIMEOUT": "34001"])
        #expect(found.map(\.variable) == ["WORKER_LEASE_SECONDS"])
        #expect(found.first?.fix == "set it to at least 46, or lower LITELLM_TIMEOUT")
        #expect(try await problems(.worker, ["LITELLM_TIMEOUT": "34000"]) == [])
        #expect(try await problems(.api, ["LITELLM_TIMEOUT": "60s"]) == [], "the API runs no jobs")
    }

    @Test func poolSettingsMustAgree() async throws {
        let tooMany = try await problems(.api, ["DATABASE_MIN_CONNECTIONS": "21"])
        #expect(tooMany.map(\.variable) == ["DATABASE_MIN_CONNECTIONS"])
        let noDirect = try await problems(.api, ["DATABASE_POOL_MODE": "transaction"])
        #expect(noDirect.map(\.variable) == ["DATABASE_DIRECT_URL"])
        let pooled = try await load(
            .api, ["DATABASE_POOL_MODE": "transaction", "DATABASE_DIRECT_URL": "postgresql://db/app"])
        #expect(pooled.database.directURL.reveal() == "postgresql://db/app")
        #expect(!pooled.database.preparedStatements)
        let prepared = try await problems(
            .api,
            [
                "DATABASE_POOL_MODE": "transaction", "DATABASE_DIRECT_URL": "postgresql://db/app",
                "DATABASE_PREPARED_STATEMENTS": "true",
            ])
        #expect(prepared.map(\.variable) == ["DATABASE_PREPARED_STATEMENTS"])
    }

    @Test func nameAndAliasMustAgree() async throws {
        let found = try await problems(.api, ["DATABASE_POOL_SIZE": "5", "DB_MAX_CONNECTIONS": "6"])
        #expect(found.map(\.variable) == ["DATABASE_POOL_SIZE"])
        let same = try await load(.api, ["DATABASE_POOL_SIZE": "5", "DB_MAX_CONNECTIONS": "5"])
        #expect(same.database.maxConnections == 5)
    }

    @Test func tellsWhatHasNoEffect() async throws {
        let notices = try await load(.api, ["KEY_REVEAL_ENABLED": "true", "LITELLM_RETRIES": "3"]).notices
        #expect(notices.count == 1)
        #expect(notices.contains { $0.hasPrefix("LITELLM_RETRIES is set but has no effect") })
    }
}

@Suite struct EnvironmentFileTests {
    func withFile(_ text: String, _ body: (String) async throws -> Void) async throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "env-\(UUID().uuidString)").path
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(path)
    }

    @Test func environmentWinsOverTheFile() async throws {
        let text = "# a comment\nPORT=1234\n\nLOG_FORMAT = \"text\"\nHOST='::1'\nNODE_ENV=test\n"
        try await withFile(text) { path in
            let api = try await load(.api, ["ENV_FILE": path, "PORT": "4321", "APP_ENV": "staging"])
            #expect(api.server.port == 4321)
            #expect(api.logging.format == .text)
            #expect(api.server.host == "::1")
            #expect(api.environment == .staging, "a name in the environment wins over an alias in the file")
            #expect(api.settings.contains { $0.name == "PORT" && $0.source == "environment" })
            #expect(api.settings.contains { $0.name == "LOG_FORMAT" && $0.source == path })
        }
    }

    @Test func anEmptyVariableLetsTheFileSpeak() async throws {
        try await withFile("PORT=1234") { path in
            let api = try await load(.api, ["ENV_FILE": path, "PORT": ""])
            #expect(api.server.port == 1234)
        }
    }

    @Test func aFileThatWasAskedForMustBeThere() async throws {
        let found = try await problems(.api, ["ENV_FILE": "/no/such/file"])
        #expect(found.map(\.variable) == ["ENV_FILE"])
    }
}

@Suite struct ConfigurationSecrecyTests {
    static let secrets = [
        "DATABASE_URL": "postgresql://app:CANARY1@localhost/app",
        "DATABASE_DIRECT_URL": "postgresql://app:CANARY2@localhost/app",
        "JWT_SECRET": "CANARY3-jwt-secret-jwt-secret-jwt-secret",
        "LITELLM_API_KEY": "sk-CANARY4",
        "ADMIN_API_KEYS": "ltm_admin_CANARY5-012345678901234567890123456789",
        "SECRETS_KEYS": "k1:" + Data("CANARY6-".utf8 + Array(repeating: 7, count: 24)).base64EncodedString(),
        "OAUTH_CLIENT_SECRET": "CANARY7",
    ]

    @Test(arguments: ProcessKind.allCases)
    func nothingPrintsSecrets(process: ProcessKind) async throws {
        let configuration = try await load(process, Self.secrets)
        var dumped = ""
        dump(configuration, to: &dumped)
        let json = String(decoding: try JSON.encoder.encode(configuration.settings), as: UTF8.self)
        for text in [dumped, "\(configuration)", configuration.render(), json] + configuration.notices {
            #expect(!text.contains("CANARY"))
            #expect(!text.contains("Q0FOQVJZNi"), "the sealing key in base64")
        }
        #expect(configuration.render().contains("DATABASE_URL=redacted  # environment\n"))
    }

    @Test func problemsHoldNoSecrets() async throws {
        let broken = Self.secrets.mapValues { String($0.prefix($0.hasPrefix("postgres") ? 0 : 10)) + "?CANARY" }
        for process in ProcessKind.allCases {
            let found = try await problems(process, broken)
            #expect(!found.isEmpty)
            #expect(!found.map(\.description).joined().contains("CANARY"))
        }
    }
}
