import Testing

@testable import Shared

@Suite struct PostgresSettingsTests {
    private let url = "postgres://app:secret@db.internal:5432/litemaas?sslmode=require"

    @Test func everythingHasADefaultButTheURL() throws {
        let settings = try PostgresSettings(environment: ["DATABASE_URL": url, "DATABASE_POOL_SIZE": ""])
        #expect(settings.url.reveal() == url)
        #expect(settings.directURL == settings.url)
        #expect(settings.maxConnections == 20)
        #expect(settings.minConnections == 0)
        #expect(settings.connectTimeout == .seconds(5))
        #expect(settings.idleTimeout == .seconds(30))
        #expect(settings.statementTimeout == .seconds(30))
        #expect(settings.preparedStatements)
        #expect(settings.poolMode == .session)
    }

    @Test func everyVariableIsRead() throws {
        let settings = try PostgresSettings(environment: [
            "DATABASE_URL": url, "DATABASE_DIRECT_URL": "postgresql:///direct", "DATABASE_POOL_SIZE": "7",
            "DB_MAX_CONNECTIONS": "99", "DATABASE_POOL_MIN": "2", "DATABASE_POOL_MODE": "Transaction",
            "DATABASE_MAX_WAITING": "50", "DB_IDLE_TIMEOUT": "1500", "DB_CONNECTION_TIMEOUT": "2500",
            "DATABASE_LEASE_TIMEOUT": "3500", "DATABASE_STATEMENT_TIMEOUT": "4500", "DATABASE_MAX_AGE": "60000",
        ])
        #expect(settings.directURL.reveal() == "postgresql:///direct")
        #expect(settings.maxConnections == 7)
        #expect(settings.minConnections == 2)
        #expect(settings.poolMode == .transaction)
        #expect(!settings.preparedStatements)
        #expect(settings.maxWaiting == 50)
        #expect(settings.idleTimeout == .milliseconds(1500))
        #expect(settings.connectTimeout == .milliseconds(2500))
        #expect(settings.leaseTimeout == .milliseconds(3500))
        #expect(settings.statementTimeout == .milliseconds(4500))
        #expect(settings.maxAge == .seconds(60))
        let other = try PostgresSettings(environment: ["DATABASE_URL": url, "DB_MAX_CONNECTIONS": "99"])
        #expect(other.maxConnections == 99)
        let off = try PostgresSettings(environment: ["DATABASE_URL": url, "DATABASE_PREPARED_STATEMENTS": "off"])
        #expect(!off.preparedStatements)
    }

    @Test(arguments: [
        ("DATABASE_URL", ""), ("DATABASE_URL", "mysql//nonsense"), ("DATABASE_URL", "postgres://u:p@h:port/d"),
        ("DATABASE_URL", "postgres://u:p@ss@host/d"), ("DATABASE_URL", "postgres://u:p/ss@host/d"),
        ("DATABASE_URL", "postgres://h/d?nonsense=1"), ("DATABASE_DIRECT_URL", "postgres://h:0/d"),
        ("DATABASE_POOL_SIZE", "0"), ("DATABASE_POOL_SIZE", "many"), ("DATABASE_POOL_SIZE", "1001"),
        ("DB_MAX_CONNECTIONS", "-1"), ("DATABASE_POOL_MIN", "21"), ("DATABASE_POOL_MODE", "statement"),
        ("DATABASE_MAX_WAITING", "0"), ("DB_IDLE_TIMEOUT", "1"), ("DB_CONNECTION_TIMEOUT", "5s"),
        ("DATABASE_LEASE_TIMEOUT", "0"), ("DATABASE_STATEMENT_TIMEOUT", "0"), ("DATABASE_MAX_AGE", "1"),
        ("DATABASE_PREPARED_STATEMENTS", "maybe"),
    ])
    func wrongValuesNameVariableAndFix(variable: String, value: String) throws {
        let error = try #require(throws: PostgresSettingsError.self) {
            _ = try PostgresSettings(environment: ["DATABASE_URL": url].merging([variable: value]) { $1 })
        }
        #expect(error.variable == variable)
        #expect(!error.fix.isEmpty)
        #expect(error.description.contains(variable))
        if value.contains("://") {
            #expect(!error.description.contains("p@ss") && !error.description.contains("//u:p"))
        }
    }

    @Test func transactionModeNeedsWhatItNeeds() throws {
        let environment = ["DATABASE_URL": url, "DATABASE_POOL_MODE": "transaction"]
        let direct = try #require(throws: PostgresSettingsError.self) {
            _ = try PostgresSettings(environment: environment)
        }
        #expect(direct.variable == "DATABASE_DIRECT_URL")
        let prepared = try #require(throws: PostgresSettingsError.self) {
            _ = try PostgresSettings(
                environment: environment.merging([
                    "DATABASE_DIRECT_URL": url, "DATABASE_PREPARED_STATEMENTS": "true",
                ]) { $1 })
        }
        #expect(prepared.variable == "DATABASE_PREPARED_STATEMENTS")
    }

    @Test func sessionsAreSetUpByMode() {
        var settings = PostgresSettings(url: Secret(url))
        settings.sessionSettings = ["jit": "off"]
        #expect(settings.sessionSetUp?.parameters.list.count == 6)
        #expect(settings.transactionSetUp == nil)
        settings.poolMode = .transaction
        #expect(settings.sessionSetUp == nil)
        #expect(settings.transactionSetUp?.sql == "select pg_catalog.set_config($1, $2, true)")
        #expect(settings.sessionOptions.statementCacheSize == 0)
        settings.sessionSettings = [:]
        #expect(settings.transactionSetUp == nil)
    }

    @Test func settingsDoNotPrintTheirSecrets() {
        let settings = PostgresSettings(url: Secret(url))
        #expect(!"\(settings)".contains("secret@"))
        #expect(!String(reflecting: settings).contains("secret@"))
    }

    @Test func hostsAreCounted() {
        #expect(LibPQConnector.hostCount(Secret("postgres://a:1,b:2,c/d")) == 3)
        #expect(LibPQConnector.hostCount(Secret("host=a,b dbname=d")) == 2)
        #expect(LibPQConnector.hostCount(Secret("postgres:///d")) == 0)
    }
}
