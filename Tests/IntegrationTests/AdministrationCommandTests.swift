import Foundation
import Jobs
import Shared
import TestSupport
import Testing

/// `litemaasctl alerts` and `litemaasctl users`, over the database.
@Suite(.needsDatabase, .hangGuard)
struct AdministrationCommandTests {
    let program: BuiltProgram

    init() throws {
        program = try BuiltProgram("litemaasctl")
    }

    private func run(_ database: TestDatabase, _ arguments: String...) async throws -> BuiltProgram.Result {
        try await program.run(
            arguments, environment: ["ENV_FILE": "none", "DATABASE_URL": database.url.reveal(), "USER": "ann"])
    }

    private func addUser(_ name: String, _ database: TestDatabase) async throws {
        try await database.client.query(
            """
            insert into users (id, username, email, oauth_provider, oauth_id, roles, is_active)
            values (gen_random_uuid(), \(name), \(name) || '@example.com', 'test', \(name), '{user}', true)
            """)
    }

    @Test("alerts are shown with what to do, and are gone with their cause")
    func alerts() async throws {
        try await withTestDatabase { database in
            _ = try await run(database, "queues", "pause", "usage", "--reason", "upgrade")
            let shown = try await run(database, "alerts")
            #expect(shown.status == 0, "\(shown.errors)")
            #expect(shown.output.contains("no_worker") && shown.output.contains("queues resume usage"))
            let json = try await run(database, "alerts", "--json")
            let found = try JSON.decoder.decode(AlertList.self, from: Data(json.output.utf8))
            #expect(found.alerts.map(\.type) == [.noWorker, .queuePaused] && found.budgetAlerts == 0)
            _ = try await run(database, "queues", "resume", "usage")
            #expect(try await !run(database, "alerts").output.contains("queue_paused"))
        }
    }

    @Test("limits of users are counted in a dry run and set by a job; what cannot be is refused with the option")
    func limits() async throws {
        try await withTestDatabase { database in
            for name in ["alice", "bob"] { try await addUser(name, database) }
            let dry = try await run(database, "users", "limits", "--max-budget", "5", "--dry-run")
            #expect(dry.status == 0 && dry.output.contains("2 active users"), "\(dry.errors)")
            let one = try await run(
                database, "users", "limits", "--max-budget", "none", "--rpm-limit", "0", "--search", "alice")
            #expect(one.status == 0 && one.output.contains("sets the limits"), "\(one.errors)")
            let args = try await database.client.query(
                "select args->'limits'->>'rpmLimit', args->'limits'->'cleared'->>0, args->'filter'->>'search' from jobs"
            )[0].decode(String?.self, String?.self, String?.self)
            #expect(args == ("0", "maxBudget", "alice"))
            let nobody = try await run(database, "users", "limits", "--tpm-limit", "1", "--search", "carol")
            #expect(nobody.output.contains("No active user"))
            let wrong = [
                ["--max-budget", "much"], ["--tpm-limit", "-1"], ["--budget-duration", "soon"], [],
                ["--rpm-limit", "1", "--user", "x"], ["--rpm-limit", "1", "--role", "king"],
                ["--rpm-limit", "1", "--user", UUID().uuidString],
            ]
            for options in wrong {
                let result = try await program.run(
                    ["users", "limits"] + options,
                    environment: ["ENV_FILE": "none", "DATABASE_URL": database.url.reveal()])
                #expect(result.status == 2 && !result.errors.isEmpty, "\(options): \(result.status)")
            }
        }
    }
}
