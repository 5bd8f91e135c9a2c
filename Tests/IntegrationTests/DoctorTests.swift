import Foundation
import Logging
import Shared
import TestSupport
import Testing

/// `litemaasctl doctor` against databases in good and bad shape.
@Suite(.needsDatabase, .hangGuard)
struct DoctorTests {
    struct Finding: Decodable {
        let check: String
        let level: String
        let message: String
        let fix: String?
    }

    struct Diagnosis: Decodable {
        let level: String
        let findings: [Finding]

        func levels(_ check: String) -> [String] { findings.filter { $0.check == check }.map(\.level) }
        func says(_ check: String, _ text: String) -> Bool {
            findings.contains { $0.check == check && $0.message.contains(text) }
        }
    }

    let program: BuiltProgram

    init() throws {
        program = try BuiltProgram("litemaasctl")
    }

    private func doctor(
        _ database: Secret, litellm: String, key: String? = nil, _ extra: [String: String] = [:]
    ) async throws -> (status: Int32, diagnosis: Diagnosis, output: String) {
        var environment = ["ENV_FILE": "none", "DATABASE_URL": database.reveal(), "LITELLM_API_URL": litellm]
        environment["LITELLM_API_KEY"] = key
        let result = try await program.run(
            ["doctor", "--json", "--timeout", "20"], environment: environment.merging(extra) { _, new in new },
            directory: TestDatabaseServer.migrations.deletingLastPathComponent())
        let diagnosis = try JSON.decoder.decode(Diagnosis.self, from: Data(result.output.utf8))
        return (result.status, diagnosis, result.output)
    }

    private func addWorker(_ database: TestDatabase) async throws {
        try await database.client.query(
            """
            insert into job_workers (incarnation, name, host, pid, version, queues, kinds, capacity, lease_until)
            select gen_random_uuid(), 'worker-1', 'here', 1, '1', array_agg(name), '{}', 4, now() + interval '1 hour'
            from job_queues
            """)
    }

    @Test("a sound installation is all ok, and the status 0")
    func sound() async throws {
        try await withTestDatabase { database in
            try await addWorker(database)
            try await withLiteLLM { url, key in
                let (status, diagnosis, output) = try await doctor(database.url, litellm: url, key: key)
                #expect(status == 0, "\(output)")
                #expect(diagnosis.level == "ok")
                let checks = Set(diagnosis.findings.map(\.check))
                #expect(
                    checks == [
                        "database", "clock", "pooler", "schema", "autovacuum", "transactions", "partitions",
                        "notifications", "breakers", "workers", "queues", "jobs", "failed jobs", "alerts", "litellm",
                    ])
                #expect(diagnosis.says("litellm", "our key"))
                let refused = try await doctor(database.url, litellm: url, key: "sk-of-somebody-else")
                #expect(refused.status == 2)
                #expect(refused.diagnosis.says("litellm", "refuses our calls"))
            }
        }
    }

    @Test("failed jobs alone are a warning: status 1, with the code and the command that helps")
    func warnsOnly() async throws {
        try await withTestDatabase { database in
            try await addWorker(database)
            try await addDeadLetters(database, count: 7)
            try await withLiteLLM { url, key in
                let (status, diagnosis, output) = try await doctor(database.url, litellm: url, key: key)
                #expect(status == 1, "\(output)")
                let failed = try #require(diagnosis.findings.first { $0.check == "failed jobs" })
                #expect(failed.message.hasPrefix("7 of kind test.kind with alias_conflict"))
                #expect(failed.fix?.contains("--error-code alias_conflict") == true)
                let text = try await program.run(
                    ["doctor"],
                    environment: [
                        "ENV_FILE": "none", "DATABASE_URL": database.url.reveal(), "LITELLM_API_URL": url,
                        "LITELLM_API_KEY": key,
                    ])
                #expect(text.status == 1)
                #expect(text.output.contains("Does not work: 0. Should be looked at: 1."))
            }
        }
    }

    @Test("each trouble is found, named, and comes with what to do")
    func sick() async throws {
        try await withTestDatabase { database in
            let client = database.client
            try await client.query("alter table jobs set (autovacuum_enabled = false)")
            try await client.query(
                "update breakers set state = 1, opened_at = now(), reason = 'db_down' where upstream = 1")
            try await client.query(
                "update breakers set state = 8, opened_at = now(), changed_by = 'ann' where upstream = 2")
            try await client.query(
                "update job_queues set paused_at = now(), paused_by = 'ann', pause_reason = 'test' where name = 'usage'"
            )
            try await client.query(
                "insert into job_kinds (name) values ('test.kind') on conflict do nothing")
            for (state, order) in [("0", "null"), ("1", "null"), ("4", "lonely")] {
                try await client.query(
                    """
                    insert into jobs (queue_id, kind_id, max_attempts, state, order_key, args) values (
                        (select id from job_queues where name = 'default'),
                        (select id from job_kinds where name = 'test.kind'), 1, \(state)::text::smallint,
                        nullif(\(order)::text, 'null'), '{}')
                    """)
            }
            try await client.query(
                """
                insert into jobs (queue_id, kind_id, max_attempts, state, run_at, args) values (
                    1, (select id from job_kinds where name = 'test.kind'), 1, 2, now() - interval '10 min', '{}')
                """)
            let (status, diagnosis, output) = try await doctor(
                database.url, litellm: "http://127.0.0.1:\(try freePort())")
            #expect(status == 2)
            #expect(diagnosis.level == "bad")
            #expect(diagnosis.says("autovacuum", "off for the table jobs"), "\(output)")
            #expect(diagnosis.says("breakers", "litellm.admin has been open"))
            #expect(diagnosis.says("breakers", "litellm.usage is forced_open by ann"))
            #expect(diagnosis.says("workers", "None is alive"))
            #expect(diagnosis.says("queues", "usage is paused by ann: test"))
            #expect(diagnosis.says("queues", "Nobody serves default"))
            #expect(diagnosis.says("jobs", "wait behind a job that is not there"))
            #expect(diagnosis.says("jobs", "run on a worker that is not alive"))
            #expect(diagnosis.says("jobs", "kinds that no live worker knows"))
            #expect(diagnosis.says("jobs", "are due and were not made ready"))
            #expect(diagnosis.says("litellm", "does not answer"))
            for finding in diagnosis.findings where finding.level != "ok" {
                #expect((finding.fix ?? "").count > 10, "\(finding.check)")
            }
        }
    }

    @Test("an old schema and a missing database say so instead of failing")
    func withoutTables() async throws {
        try await withEmptyTestDatabase { database in
            let nobody = "http://127.0.0.1:\(try freePort())"
            let old = try await doctor(database.url, litellm: nobody)
            #expect(old.status == 2)
            #expect(old.diagnosis.levels("schema") == ["bad"])
            #expect(old.diagnosis.findings.contains { $0.fix?.contains("migrate up") == true })
            #expect(old.diagnosis.levels("jobs").isEmpty)

            let gone = try await doctor(
                Secret("postgresql://nobody@127.0.0.1:\(try freePort())/nothing"), litellm: nobody)
            #expect(gone.status == 2)
            #expect(gone.diagnosis.levels("database") == ["bad"])
        }
        let unset = try await program.run(["doctor"], environment: ["ENV_FILE": "none"])
        #expect(unset.status == 2)
        #expect(unset.output.contains("DATABASE_URL is not set"))
    }

    private func addDeadLetters(_ database: TestDatabase, count: Int) async throws {
        try await database.client.query("insert into job_kinds (name) values ('test.kind') on conflict do nothing")
        try await database.client.query(
            """
            insert into job_dead_letters (
                id, finished_at, created_at, run_at, token, queue_id, kind_id, upstream, priority, outcome, attempt,
                max_attempts, errors, error_class, error_code, error_message, args)
            select 1000000 + n, now(), now(), now(), 1, 1, (select id from job_kinds where name = 'test.kind'), 0, 0,
                11, 1, 1, 1, 'conflict', 'alias_conflict', 'The alias is taken.', '{}'
            from generate_series(1, \(count)) as n
            """)
    }

    /// A simulated LiteLLM while `body` runs.
    private func withLiteLLM(_ body: (String, String) async throws -> Void) async throws {
        let port = try freePort()
        let key = "sk-" + UUID().uuidString
        let log = FileManager.default.temporaryDirectory.appending(path: "litellm-\(UUID().uuidString).log")
        let simulator = try RunningProgram(
            "litellm-simulator", ["--port", "\(port)"], environment: ["LITELLM_MASTER_KEY": key], log: log)
        do {
            // The doctor itself would call a simulator that is still starting down.
            try await connectable(port)
            try await body("http://127.0.0.1:\(port)", key)
        } catch {
            await simulator.stop()
            throw error
        }
        await simulator.stop()
        try FileManager.default.removeItem(at: log)
    }

    private func connectable(_ port: Int) async throws {
        let transport = CurlTransport(logger: .init(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let deadline = ContinuousClock.now + .seconds(60)
        var isUp = false
        while !isUp, deadline > .now {
            do {
                let url = "http://127.0.0.1:\(port)/health/liveliness"
                isUp = try await transport.send(HTTPClientRequest(method: .get, url: url)).status == 200
            } catch is HTTPTransportError {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        await transport.shutdown()
        try #require(isUp)
    }
}
