import Foundation
import Jobs
import Logging
import Shared
import TestSupport
import Testing

/// The verbs of operators as a process, over the database: what they do, what they say, and how they end.
@Suite(.needsDatabase, .hangGuard)
struct OperatorCommandTests {
    let program: BuiltProgram

    init() throws {
        program = try BuiltProgram("litemaasctl")
    }

    private func run(_ database: TestDatabase, _ arguments: String...) async throws -> BuiltProgram.Result {
        try await program.run(
            arguments, environment: ["ENV_FILE": "none", "DATABASE_URL": database.url.reveal(), "USER": "ann"])
    }

    private func json(_ database: TestDatabase, _ arguments: String...) async throws -> JSONValue {
        let result = try await program.run(
            arguments + ["--json"], environment: ["ENV_FILE": "none", "DATABASE_URL": database.url.reveal()])
        #expect(result.status == 0, "\(arguments): \(result.errors)")
        return try JSON.decoder.decode(JSONValue.self, from: Data(result.output.utf8))
    }

    private func queue(_ database: TestDatabase) async throws -> JobQueue {
        let queue = JobQueue(
            database: database.client, catalog: .standard,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await queue.prepare()
        return queue
    }

    private func addDeadLetters(_ database: TestDatabase, count: Int, code: String = "alias_conflict") async throws {
        try await database.client.query(
            """
            insert into job_dead_letters (
                id, finished_at, created_at, run_at, token, queue_id, kind_id, upstream, priority, outcome, attempt,
                max_attempts, errors, error_class, error_code, error_message, args)
            select nextval(pg_get_serial_sequence('jobs', 'id')), now(), now(), now(), 1,
                (select id from job_queues where name = 'default'),
                (select id from job_kinds where name = 'usage.fetchDay'), 0, 0, 11, 1, 1, 1, 'permanent', \(code),
                'It cannot be done.', '{"date": "2026-01-01"}'
            from generate_series(1, \(count))
            """)
    }

    private func ids(_ database: TestDatabase, _ query: PostgresQuery) async throws -> [Int64] {
        try await database.client.query(query).map { try $0.decode(Int64.self) }
    }

    @Test("explain follows a job through a paused queue, an open breaker and a missing worker")
    func explains() async throws {
        try await withTestDatabase { database in
            let id = try await queue(database).enqueue(ModelSync()).id
            let noWorker = try await run(database, "jobs", "explain", "\(id)")
            #expect(noWorker.status == 0, "\(noWorker.errors)")
            #expect(noWorker.output.contains("No worker serves the queue default"))

            let paused = try await json(database, "queues", "pause", "default", "--reason", "maintenance")
            #expect(paused[0]?["isPaused"]?.boolValue == true)
            #expect(paused[0]?["pauseReason"]?.stringValue == "maintenance")
            let behind = try await run(database, "jobs", "explain", "\(id)")
            #expect(behind.output.contains("The queue default is paused: maintenance."))
            #expect(behind.output.contains("→ litemaasctl queues resume default"))
            #expect(try await run(database, "queues", "resume", "default").status == 0)

            let forced = try await run(
                database, "breakers", "force", "litellm.admin", "open", "--reason", "LiteLLM is upgraded")
            #expect(forced.status == 0, "\(forced.errors)")
            #expect(forced.output.contains("forced_open"))
            let shown = try await run(database, "breakers")
            #expect(shown.output.contains("litellm.admin"))
            #expect(shown.output.contains("LiteLLM is upgraded"))
            let explained = try await run(database, "jobs", "explain", "\(id)")
            #expect(explained.output.contains("LiteLLM is upgraded"))
            #expect(explained.output.contains("1 jobs wait behind it"))
            #expect(explained.output.contains("→ litemaasctl breakers reset litellm.admin"))
            let document = try await json(database, "jobs", "explain", "\(id)")
            #expect(document["breaker"]?["state"]?.stringValue == "forced_open")
            #expect(document["jobId"]?.stringValue == "\(id)")
            #expect(try await run(database, "breakers", "reset", "litellm.admin").output.contains("closed"))

            let actors = try await database.client.query(
                "select distinct actor from audit_logs where action like 'BREAKER%' or action like 'JOB_QUEUE%'")
            #expect(try actors.map { try $0.decode(String.self) }.allSatisfy { $0.hasPrefix("litemaasctl:") })
            #expect(actors.count >= 1)
        }
    }

    @Test("what is not there ends 4, what is not allowed 5, wrong usage 2")
    func statuses() async throws {
        try await withTestDatabase { database in
            let queue = try await queue(database)
            let id = try await queue.enqueue(ModelSync()).id
            #expect(try await run(database, "jobs", "show", "987654321").status == 4)
            #expect(try await run(database, "queues", "pause", "nonsense").status == 4)
            #expect(try await run(database, "breakers", "reset", "nonsense").status == 4)
            #expect(try await run(database, "jobs", "list", "--state", "nonsense").status == 2)
            #expect(try await run(database, "jobs", "list", "--kind", "nonsense").status == 2)
            #expect(try await run(database, "jobs", "reschedule", "\(id)").status == 2)
            let security = try await run(database, "queues", "pause", "security")
            #expect(security.status == 5)
            #expect(security.errors.contains("force"))
            #expect(try await run(database, "queues", "pause", "security", "--force").status == 0)

            #expect(try await run(database, "jobs", "cancel", "\(id)").output == "Job \(id) is cancelled.\n")
            let again = try await run(database, "jobs", "cancel", "\(id)", "987654321")
            #expect(again.status == 4)
            #expect(again.errors.contains("Job \(id) is cancelled; only unfinished jobs can."))
            #expect(try await run(database, "jobs", "retry", "\(id)").status == 5)
        }
    }

    @Test("failed jobs are counted by their error code, found by it, retried and discarded")
    func deadLetters() async throws {
        try await withTestDatabase { database in
            _ = try await queue(database)
            try await addDeadLetters(database, count: 3)
            try await addDeadLetters(database, count: 1, code: "other_code")
            let stats = try await run(database, "jobs", "stats")
            #expect(stats.status == 0, "\(stats.errors)")
            #expect(stats.output.contains("alias_conflict"))
            #expect(stats.output.contains("other_code"))
            let page = try await json(
                database, "jobs", "list", "--state", "failed", "--error-code", "alias_conflict", "--limit", "2")
            #expect(page["data"]?.arrayValue?.count == 2)
            #expect(page["pagination"]?["total"]?["value"]?.intValue == 3)
            let cursor = try #require(page["pagination"]?["cursor"]?.stringValue)
            let next = try await json(
                database, "jobs", "list", "--state", "failed", "--error-code", "alias_conflict", "--limit", "2",
                "--cursor", cursor)
            #expect(next["data"]?.arrayValue?.count == 1)

            let letters = try await ids(
                database, "select id from job_dead_letters where error_code = 'alias_conflict' order by id")
            #expect(try await run(database, "jobs", "retry", "\(letters[0])").status == 0)
            #expect(try await ids(database, "select id from jobs").contains(letters[0]))
            let discarded = try await run(database, "jobs", "discard", "\(letters[1])", "--reason", "not needed")
            #expect(discarded.output == "Job \(letters[1]) is discarded.\n")
            let shown = try await run(database, "jobs", "show", "\(letters[1])")
            #expect(shown.output.contains("state"))
            #expect(shown.output.contains("by litemaasctl:"))
            #expect(shown.output.contains("alias_conflict"))
            let left = try await json(database, "jobs", "list", "--state", "failed", "--error-code", "alias_conflict")
            #expect(left["data"]?.arrayValue?.count == 1)
            let given = try await json(database, "jobs", "list", "--discarded")
            #expect(given["data"]?.arrayValue?.count == 1)
        }
    }

    @Test("tail prints a line for each change, as it happens")
    func tail() async throws {
        try await withTestDatabase { database in
            let queue = try await queue(database)
            let log = FileManager.default.temporaryDirectory.appending(path: "tail-\(UUID().uuidString).log")
            let tail = try RunningProgram(
                "litemaasctl", ["jobs", "tail", "--all", "--interval", "0.1"],
                environment: ["ENV_FILE": "none", "DATABASE_URL": database.url.reveal()], log: log)
            func printed(_ text: String) async throws -> Bool {
                let deadline = ContinuousClock.now + .seconds(60)
                while deadline > .now {
                    if try String(contentsOf: log, encoding: .utf8).contains(text) { return true }
                    try await Task.sleep(for: .milliseconds(20))
                }
                return false
            }
            let id = try await queue.enqueue(ModelSync()).id
            #expect(try await printed("\(id)  ready      model.sync"))
            try await queue.cancel(id: id, by: "ann")
            #expect(try await printed("\(id)  cancelled  model.sync"))
            await tail.stop()
            try FileManager.default.removeItem(at: log)
            let one = try await run(database, "jobs", "tail", "--all", "--count", "1", "--json")
            #expect(one.status == 0)
            let job = try JSON.decoder.decode(JSONValue.self, from: Data(one.output.utf8))
            #expect(job["id"]?.stringValue == "\(id)")
        }
    }

    @Test("workers are shown with what they run, and one is drained")
    func workers() async throws {
        try await withTestDatabase { database in
            let queue = try await queue(database)
            #expect(try await run(database, "workers").output == "No worker is alive.\n")
            let added = try await ids(
                database,
                """
                insert into job_workers (incarnation, name, host, pid, version, queues, kinds, capacity, lease_until)
                values (gen_random_uuid(), 'worker-a', 'here', 1, '1', array['default'], '{}', 4, now() + interval '1 h')
                returning id::bigint
                """)
            let worker = try #require(added.first)
            let id = try await queue.enqueue(ModelSync()).id
            try await database.client.query(
                """
                update jobs set state = 1, attempt = 1, worker_id = \(Int32(worker)), started_at = now() - interval '5 min'
                where id = \(id)
                """)
            let listed = try await run(database, "workers", "list")
            #expect(listed.output.contains("worker-a"))
            #expect(listed.output.contains("1/4"))
            #expect(listed.output.contains("5 min"))
            let drained = try await json(database, "workers", "drain", "\(worker)", "--reason", "upgrade")
            #expect(drained[0]?["drainRequestedBy"]?.stringValue?.hasPrefix("litemaasctl:") == true)
            #expect(try await json(database, "workers", "resume", "\(worker)")[0]?["drainRequestedAt"] == nil)
            #expect(try await run(database, "workers", "drain", "987654").status == 4)
        }
    }

    @Test("a range of days is taken over anew by a job, with who asked")
    func rebuild() async throws {
        try await withTestDatabase { database in
            _ = try await queue(database)
            let range = ["--from", "2026-01-01", "--to", "2026-01-31"]
            let started = try await json(
                database, "usage", "rebuild", range[0], range[1], range[2], range[3], "--force", "--no-wait")
            #expect(started["state"] == nil)
            let rows = try await database.client.query(
                """
                select k.name, j.args->>'from', j.args->>'to', a.actor
                from jobs j join job_kinds k on k.id = j.kind_id join audit_logs a on a.job_id = j.id
                """)
            let forced = try await database.client.query("select (args->>'force')::boolean from jobs").one(Bool.self)
            #expect(forced)
            let (kind, from, to, actor) = try rows[0].decode(String.self, String.self, String.self, String.self)
            #expect(kind == "usage.rebuild" && [from, to] == [range[1], range[3]])
            #expect(actor.hasPrefix("litemaasctl:"))
            let long = try await run(database, "usage", "rebuild", "--from", "2024-01-01", "--to", "2025-01-01")
            #expect(long.status == 2 && long.errors.contains("366 days"), "\(long.errors)")
            let wrong = try await run(database, "usage", "rebuild", "--from", "soon", "--to", "2025-01-01")
            #expect(wrong.status == 2)
        }
    }

    @Test("schedules are changed, disabled and triggered; the runs to come are shown")
    func schedules() async throws {
        try await withTestDatabase { database in
            let queue = try await queue(database)
            try await JobSchedules(queue: queue).seed([
                try ScheduleDraft(
                    name: "nightly", description: "Deletes secrets.", job: SecretsPurge(), cron: "0 3 * * *",
                    timeZone: "Europe/Prague")
            ])
            #expect(try await run(database, "schedules").output.contains("nightly"))
            #expect(try await run(database, "schedules", "show", "nothing").status == 4)
            let next = try await run(database, "schedules", "next", "nightly", "--count", "3")
            #expect(next.output.split(separator: "\n").count == 3)
            let changed = try await json(database, "schedules", "set", "nightly", "--cron", "30 4 * * *")
            #expect(changed[0]?["cron"]?.stringValue == "30 4 * * *")
            let wrong = try await run(database, "schedules", "set", "nightly", "--cron", "61 4 * * *")
            #expect(wrong.status == 2)
            #expect(wrong.errors.contains("cron"))
            #expect(try await run(database, "schedules", "set", "nightly").status == 2)
            let off = try await json(database, "schedules", "disable", "nightly", "--reason", "moved")
            #expect(off[0]?["enabled"]?.boolValue == false)
            let shown = try await run(database, "schedules", "show", "nightly")
            #expect(shown.output.contains("moved"))
            #expect(try await run(database, "schedules", "trigger", "nightly").status == 0)
            let again = try await run(database, "schedules", "trigger", "nightly")
            #expect(again.status == 5, "\(again.errors)")
            #expect(try await json(database, "schedules", "enable", "nightly")[0]?["enabled"]?.boolValue == true)
        }
    }

    @Test("limits are set, shown and lifted")
    func limits() async throws {
        try await withTestDatabase { database in
            _ = try await queue(database)
            #expect(try await run(database, "queues", "limit").output == "There is no limit.\n")
            let set = try await json(
                database, "queues", "limit", "default", "--max-running", "3", "--rate", "100/60s")
            #expect(set[0]?["maxRunning"]?.intValue == 3)
            #expect(set[0]?["rate"]?["count"]?.intValue == 100)
            let kind = try await run(
                database, "queues", "limit", "model.sync", "--scope", "kind", "--max-running", "1")
            #expect(kind.output.contains("0/1"), "\(kind.errors)")
            #expect(try await run(database, "queues", "limit", "security", "--max-running", "1").status == 5)
            #expect(try await run(database, "queues", "limit", "default", "--rate", "often").status == 2)
            #expect(try await run(database, "queues", "limit", "default", "--none").output == "There is no limit.\n")
            #expect(try await json(database, "queues", "limit").arrayValue?.count == 1)
        }
    }

    @Test("completions for the usual shells know the verbs", arguments: ["bash", "zsh", "fish"])
    func completions(shell: String) async throws {
        let result = try await program.run(["--generate-completion-script", shell], environment: [:])
        #expect(result.status == 0)
        for verb in ["breakers", "explain", "reschedule", "drain"] { #expect(result.output.contains(verb)) }
    }

    @Test("REST needs a token, and says when nobody answers")
    func restErrors() async throws {
        let url = "http://127.0.0.1:\(try freePort())"
        let without = try await program.run(["queues", "--url", url], environment: ["ENV_FILE": "none"])
        #expect(without.status == 1)
        #expect(without.errors.contains("LITEMAAS_TOKEN"))
        let nobody = try await program.run(
            ["queues"], environment: ["ENV_FILE": "none", "LITEMAAS_URL": url, "LITEMAAS_TOKEN": "t-secret"])
        #expect(nobody.status == 1)
        #expect(nobody.errors.contains("cannot be reached: refused"))
        #expect(!nobody.errors.contains("t-secret"))
    }
}
