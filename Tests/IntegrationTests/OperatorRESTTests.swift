import Foundation
import Shared
import TestSupport
import Testing

/// The verbs of operators over REST, against a running API and worker: the same answers as over the database.
@Suite(.needsDatabase, .hangGuard)
struct OperatorRESTTests {
    let program: BuiltProgram

    init() throws {
        program = try BuiltProgram("litemaasctl")
    }

    private func token(_ stack: RunningStack, _ roles: [JSONValue]) async throws -> String {
        let answer = try await stack.send(
            .post, "/api/auth/dev-token", ["username": .string("ops-\(roles.count)"), "roles": .array(roles)])
        #expect(answer.status == 200)
        return try #require(answer.body["access_token"]?.stringValue)
    }

    private func addDeadLetters(_ database: TestDatabase, count: Int) async throws {
        try await database.client.query(
            """
            insert into job_dead_letters (
                id, finished_at, created_at, run_at, token, queue_id, kind_id, upstream, priority, outcome, attempt,
                max_attempts, errors, error_class, error_code, error_message, args)
            select nextval(pg_get_serial_sequence('jobs', 'id')), now(), now(), now(), 1,
                (select id from job_queues where name = 'default'),
                (select id from job_kinds where name = 'secrets.purge'), 0, 0, 11, 1, 1, 1, 'permanent',
                'test_code', 'It cannot be done.', '{}'
            from generate_series(1, \(count))
            """)
    }

    @Test("the verbs work over REST; bulk counts first, asks, and follows its job to the end")
    func overREST() async throws {
        try await withTestDatabase { database in
            try await RunningStack.with(database) { stack in
                let admin = try await token(stack, ["admin", "user"])
                func run(_ arguments: String..., token: String? = nil) async throws -> BuiltProgram.Result {
                    try await program.run(
                        arguments,
                        environment: [
                            "ENV_FILE": "none", "LITEMAAS_URL": stack.api, "LITEMAAS_TOKEN": token ?? admin,
                        ])
                }
                _ = try await stack.eventually("a worker is there") {
                    try await run("workers").output.contains("active") ? true : nil
                }
                try await addDeadLetters(database, count: 5)
                let stats = try await run("jobs", "stats")
                #expect(stats.status == 0, "\(stats.errors)")
                #expect(stats.output.contains("test_code"))
                let listed = try await run("jobs", "list", "--state", "failed", "--error-code", "test_code")
                #expect(listed.output.contains("5 of 5"), "\(listed.output)\(listed.errors)")
                let direct = try await program.run(
                    ["jobs", "list", "--state", "failed", "--error-code", "test_code"],
                    environment: ["ENV_FILE": "none", "DATABASE_URL": database.url.reveal()])
                #expect(direct.output.split(separator: "\n").count == listed.output.split(separator: "\n").count)

                let dry = try await run("jobs", "bulk", "retry", "--error-code", "test_code", "--dry-run")
                #expect(dry.status == 0, "\(dry.errors)")
                #expect(dry.output.contains("5 jobs match, 5 would be changed."))
                #expect(dry.output.contains("nothing was changed"))
                let unasked = try await run("jobs", "bulk", "retry", "--error-code", "test_code")
                #expect(unasked.status == 2)
                #expect(unasked.errors.contains("--yes"))
                let left = try await database.client.query("select count(*) from job_dead_letters").one(Int.self)
                #expect(left == 5)

                let done = try await run("jobs", "bulk", "retry", "--error-code", "test_code", "--yes")
                #expect(done.output.contains("Done: 5 jobs changed"), "\(done.output)\(done.errors)")
                #expect(done.status == 0)
                _ = try await stack.eventually("the dead letters are gone") {
                    try await database.client.query("select count(*) from job_dead_letters").one(Int.self) == 0
                        ? true : nil
                }

                #expect(try await run("breakers").output.contains("litellm.usage"))
                #expect(try await run("queues", "pause", "usage", "--reason", "test").output.contains("test"))
                #expect(try await run("queues", "resume", "usage").status == 0)
                #expect(try await run("jobs", "show", "987654321").status == 4)
                #expect(try await run("queues", "pause", "security").status == 5)
                let forced = try await run("breakers", "force", "litellm.usage", "open", "--reason", "test")
                #expect(forced.output.contains("forced_open"), "\(forced.errors)")
                #expect(try await run("breakers", "reset", "litellm.usage").status == 0)

                let rebuild = try await run(
                    "usage", "rebuild", "--from", "2026-01-01", "--to", "2026-01-02", "--no-wait")
                #expect(rebuild.status == 0 && rebuild.output.contains("does it"), "\(rebuild.errors)")
                let backwards = try await run("usage", "rebuild", "--from", "2026-01-02", "--to", "2026-01-01")
                #expect(backwards.status == 2 && backwards.errors.contains("startDate"), "\(backwards.errors)")

                let nobody = try await token(stack, ["user"])
                #expect(try await run("queues", token: nobody).status == 5)
                let bad = try await run("queues", token: "nonsense")
                #expect(bad.status == 1)
                #expect(bad.errors.contains("refuses the token"))
            }
        }
    }
}
