import Foundation
import Shared
import TestSupport
import Testing

/// The operator's command line as a process: what it says, and how it ends.
@Suite(.hangGuard)
struct LitemaasctlTests {
    let program: BuiltProgram

    init() throws {
        program = try BuiltProgram("litemaasctl")
    }

    func run(_ arguments: String..., database: Secret? = nil, with extra: [String: String] = [:]) async throws
        -> BuiltProgram.Result
    {
        var environment = ["ENV_FILE": "none"]
        environment["DATABASE_URL"] = database?.reveal()
        return try await program.run(
            arguments, environment: environment.merging(extra) { _, new in new },
            directory: TestDatabaseServer.migrations.deletingLastPathComponent())
    }

    @Test func tellsWrongUsageFromFailure() async throws {
        #expect(try await run("nonsense").status == 2)
        #expect(try await run("config", "check", "--for", "nobody").status == 2)
        let failed = try await run("migrate", "status")
        #expect(failed.status == 1)
        #expect(failed.errors.contains("DATABASE_URL is not set"))
        let help = try await run("--help")
        #expect(help.status == 0)
        #expect(help.output.contains("migrate"))
    }

    @Test func checksTheConfiguration() async throws {
        let bad = try await run("config", "check", "--json", with: ["PORT": "0", "JWT_SECRET": "short-secret"])
        #expect(bad.status == 1)
        let report = try JSON.decoder.decode(JSONValue.self, from: Data(bad.output.utf8))
        let variables = report["problems"]?.arrayValue?.compactMap { $0["variable"]?.stringValue } ?? []
        #expect(
            Set(variables) == [
                "DATABASE_URL", "JWT_SECRET", "SECRETS_KEYS", "PORT", "LITELLM_API_KEY", "OAUTH_CLIENT_ID",
                "OAUTH_CLIENT_SECRET", "OAUTH_ISSUER",
            ])
        #expect(!bad.output.contains("short-secret"))
        let good = try await run(
            "config", "check", "--for", "cli", database: Secret("postgresql://u:hunter2@localhost/x"))
        #expect(good.status == 0)
    }

    @Test func printsTheConfigurationWithoutSecrets() async throws {
        let url = Secret("postgresql://u:hunter2@localhost/x")
        for arguments in [["config", "print", "--for", "cli"], ["config", "print", "--for", "cli", "--json"]] {
            let result = try await program.run(
                arguments, environment: ["ENV_FILE": "none", "DATABASE_URL": url.reveal()])
            #expect(result.status == 0)
            #expect(result.output.contains("DATABASE_URL"))
            #expect(!(result.output + result.errors).contains("hunter2"))
        }
    }

    @Test(.needsDatabase) func migratesStepByStep() async throws {
        try await withEmptyTestDatabase { database in
            let before = try await run("migrate", "status", database: database.url)
            #expect(before.status == 3)
            #expect(before.output.contains("pending"))
            let statements = try await run("migrate", "print", database: database.url)
            #expect(statements.output.contains("create table"))
            let up = try await run("migrate", "up", "--json", database: database.url)
            #expect(up.status == 0)
            let applied = try JSON.decoder.decode(JSONValue.self, from: Data(up.output.utf8))["applied"]?.arrayValue
            #expect(applied?.count == SchemaVersion.required)
            #expect(try await run("migrate", "up", database: database.url).output.contains("The schema is current."))
            #expect(try await run("migrate", "status", database: database.url).status == 0)
            try await database.client.query("update schema_migrations set checksum = 'edited' where version = 1")
            let edited = try await run("migrate", "status", database: database.url)
            #expect(edited.status == 3)
            #expect(edited.output.contains("changed"))
            #expect(try await run("migrate", "up", database: database.url).status == 3)
        }
    }

    @Test(.needsDatabase) func validateTellsWhatWasChangedByHand() async throws {
        try await withTestDatabase { database in
            let good = try await run("migrate", "validate", database: database.url)
            #expect(good.status == 0, "\(good.output)\(good.errors)")
            try await database.client.query("alter table users add column by_hand int")
            let drifted = try await run("migrate", "validate", database: database.url)
            #expect(drifted.status == 3)
            #expect(drifted.output.contains("by_hand"))
        }
    }

    @Test(.needsDatabase) func seedsOnlyWhatIsMissing() async throws {
        try await withTestDatabase { database in
            let first = try await run("db", "seed", database: database.url)
            #expect(first.status == 0)
            #expect(first.output.contains("Users added: admin, user, readonly."))
            let users = try await database.client.query("select count(*) from users").one(Int.self)
            let second = try await run("db", "seed", "--json", database: database.url)
            #expect(second.output == "{\"models\":[],\"users\":[]}\n")
            #expect(try await database.client.query("select count(*) from users").one(Int.self) == users)
            let refused = try await run(
                "db", "seed", database: database.url, with: ["APP_ENV": "production"])
            #expect(refused.status == 1)
        }
    }

    @Test(.needsDatabase) func seedNeedsTheSchema() async throws {
        try await withEmptyTestDatabase { database in
            let result = try await run("db", "seed", database: database.url)
            #expect(result.status == 3)
            #expect(result.errors.contains("litemaasctl migrate up"))
        }
    }

    @Test(.needsDatabase) func setupCreatesTheDatabaseOnce() async throws {
        let name = "ctl setup \(UUID().uuidString)"
        try await withEmptyTestDatabase { database in
            let text = database.url.reveal()
            let separator = text.contains("?") ? "&" : "?"
            let encoded = name.replacing(" ", with: "%20")
            let url = Secret("\(text)\(separator)dbname=\(encoded)")
            let first = try await run("db", "setup", database: url)
            #expect(first.status == 0, "\(first.errors)")
            #expect(first.output.contains("The database was created."))
            let second = try await run("db", "setup", database: url)
            #expect(second.output == "The schema is current.\n")
            #expect(try await run("migrate", "status", database: url).status == 0)
            try await database.client.query("drop database \(identifier: name) with (force)")
        }
    }
}
