import Foundation
import Shared
import TestSupport
import Testing

/// `litemaasctl bulk` against a running API, worker and simulated LiteLLM.
@Suite(.needsDatabase, .hangGuard)
struct BulkCommandTests {
    private let program: BuiltProgram

    init() throws {
        program = try BuiltProgram("litemaasctl")
    }

    /// What the commands of one operator run on.
    private struct Desk: Sendable {
        let program: BuiltProgram
        let stack: RunningStack
        let database: TestDatabase
        let token: String
        let model: String

        /// `litemaasctl`, as the operator unless another token is given.
        func run(_ arguments: String..., token: String? = nil) async throws -> BuiltProgram.Result {
            try await program.run(
                arguments,
                environment: ["ENV_FILE": "none", "LITEMAAS_URL": stack.api, "LITEMAAS_TOKEN": token ?? self.token])
        }

        /// Writes a file of people; gives its path.
        func file(_ name: String, _ text: String) throws -> String {
            let path = stack.directory.appending(path: name)
            try Data(text.utf8).write(to: path)
            return path.path
        }

        func text(_ path: String) throws -> String { try String(contentsOf: URL(filePath: path), encoding: .utf8) }

        /// A batch as `--json` shows it.
        func batch(_ name: String) async throws -> JSONValue {
            let shown = try await run("bulk", "status", name, "--json")
            return try JSON.decoder.decode(JSONValue.self, from: Data(shown.output.utf8))
        }

        func count(_ query: PostgresQuery) async throws -> Int {
            try await database.client.query(query).one(Int.self)
        }
    }

    private func withDesk(_ body: @Sendable (Desk) async throws -> Void) async throws {
        try await withTestDatabase { database in
            try await RunningStack.with(database, logLevel: "info") { stack in
                let token = try await stack.signIn("operator", roles: ["admin", "user"])
                let model = try await stack.models(1)[0]
                try await body(
                    Desk(program: program, stack: stack, database: database, token: token, model: model))
            }
        }
    }

    @Test("from people in a file to keys in another one, prolonged and revoked, by the batch's name")
    func life() async throws {
        try await withDesk { desk in
            let csv = try desk.file("people.csv", "username,email\nzoe,zoe@x.org\nyan,yan@x.org\n")
            let keys = desk.stack.directory.appending(path: "keys.csv").path
            let made = try await desk.run(
                "bulk", "create", "from-csv", "--users", csv, "--model", desk.model, "--duration", "1d", "--label",
                "ws", "--output", keys)
            #expect(made.status == 0, "\(made.output)\(made.errors)")
            let rows = try CSVReader.rows(try desk.text(keys))
            let column = try #require(rows[0].cells.firstIndex(of: "key"))
            #expect(rows.count == 3 && rows.dropFirst().allSatisfy { $0.cells[column].hasPrefix("sk-") })
            let mode = try FileManager.default.attributesOfItem(atPath: keys)[.posixPermissions] as? Int
            #expect(mode == 0o600)

            let jsonl = try desk.file(
                "people.jsonl",
                "{\"username\":\"xia\",\"email\":\"xia@x.org\"}\n\n{\"username\":\"zoe\",\"email\":\"zoe@x.org\"}\n")
            let more = try await desk.run(
                "bulk", "create", "from-jsonl", "--users", jsonl, "--model", desk.model, "--label", "ws", "--json")
            #expect(more.status == 0 && more.output.contains("\"completed\""), "\(more.output)\(more.errors)")
            let listed = try await desk.run("bulk", "status")
            #expect(listed.output.contains("from-csv") && listed.output.contains("from-jsonl"))
            let id = try #require(try await desk.batch("FROM-CSV")["id"]?.stringValue)
            let shown = try await desk.run("bulk", "status", "from-csv").output
            #expect(try await desk.run("bulk", "status", id).output == shown)
            let again = try await desk.run("bulk", "results", "from-csv", "--format", "csv")
            let file = try desk.text(keys)
            #expect(again.status == 0 && again.output == file)

            let end: PostgresQuery = "select max(expires_at) > now() + interval '29 days' from api_keys"
            let extended = try await desk.run("bulk", "extend", "from-csv", "--duration", "30d", "--yes")
            #expect(extended.status == 0 && extended.output.contains("Done: 2 keys changed"), "\(extended.errors)")
            #expect(try await desk.database.client.query(end).one(Bool.self))
            let unasked = try await desk.run("bulk", "revoke", "from-csv")
            #expect(unasked.status == 2 && unasked.errors.contains("--yes"))
            let revoked = try await desk.run("bulk", "revoke", "from-csv", "--yes", "--reason", "over")
            #expect(revoked.status == 0 && revoked.output.contains("2 keys are meant."), "\(revoked.output)")
            #expect(revoked.output.contains("Done: 2 keys changed"))
            let rest = try await desk.run("bulk", "revoke", "--label", "ws", "--yes")
            #expect(rest.status == 0 && rest.output.contains("2 keys are meant."), "\(rest.output)\(rest.errors)")
            #expect(try await desk.count("select count(*) from api_keys where is_active") == 0)
        }
    }

    @Test("keys that wait are counted as such, and neither revoked nor cancelled batches make them")
    func waiting() async throws {
        try await withDesk { desk in
            #expect(try await desk.run("queues", "pause", "default", "--reason", "test").status == 0)
            let person = try await desk.stack.signInId("learner")
            for name in ["one", "two", "three"] {
                let made = try await desk.run(
                    "bulk", "create", name, "--user", person, "--count", "3", "--model", desk.model, "--label", name,
                    "--no-wait")
                #expect(made.status == 0, "\(made.errors)")
            }
            let dry = try await desk.run("bulk", "revoke", "one", "--dry-run")
            #expect(dry.output == "3 keys are meant; 3 are still to be made: those stay unmade.\n", "\(dry.errors)")
            let counted = try await desk.run("bulk", "revoke", "--label", "two", "--dry-run", "--json")
            let count = try JSON.decoder.decode([String: Int].self, from: Data(counted.output.utf8))
            #expect(count == ["matched": 3, "waiting": 3])
            #expect(try await desk.run("bulk", "revoke", "one", "--yes").status == 0)
            let byLabel = try await desk.run("bulk", "revoke", "--label", "two", "--yes")
            #expect(byLabel.status == 0 && byLabel.output.contains("3 are still to be made"), "\(byLabel.errors)")
            let unasked = try await desk.run("bulk", "cancel", "three")
            #expect(unasked.status == 2 && unasked.errors.contains("give up 3 keys"), "\(unasked.errors)")
            let cancelled = try await desk.run("bulk", "cancel", "three", "--yes", "--reason", "moved")
            #expect(cancelled.status == 0 && cancelled.output.contains("cancelled"), "\(cancelled.errors)")
            let retried = try await desk.run("bulk", "retry", "three")
            #expect(retried.status == 5 && retried.errors.contains("was cancelled"), "\(retried.errors)")

            #expect(try await desk.run("queues", "resume", "default").status == 0)
            // What comes after them in the same queue is made: they were passed over.
            let last = try await desk.run(
                "bulk", "create", "last", "--user", person, "--count", "1", "--model", desk.model)
            #expect(last.status == 0, "\(last.errors)")
            for name in ["one", "two", "three"] {
                let batch = try await desk.batch(name)
                #expect(batch["state"] == "cancelled" && batch["counts"]?["cancelled"] == 3, "\(batch)")
            }
            #expect(try await desk.count("select count(*) from api_keys") == 1)
            let stopped = try await desk.run("bulk", "cancel", "last", "--revoke", "--yes")
            #expect(stopped.status == 0 && stopped.output.contains("Done: 1 keys changed"), "\(stopped.errors)")
            #expect(try await desk.count("select count(*) from api_keys where is_active") == 0)
        }
    }

    @Test("what failed is tried again, by whoever asked for it")
    func retry() async throws {
        try await withDesk { desk in
            let person = try await desk.stack.signInId("learner")
            let failed = try await desk.run(
                "bulk", "create", "first", "--user", person, "--count", "2", "--model", desk.model, "--no-subscribe")
            #expect(failed.status == 5 && failed.output.contains("failed"), "\(failed.output)\(failed.errors)")
            let results = try await desk.run("bulk", "results", "first", "--format", "csv")
            #expect(results.output.contains(desk.model) && !results.output.contains("sk-"), "\(results.output)")
            let subscribing = try await desk.run(
                "bulk", "create", "second", "--user", person, "--count", "1", "--model", desk.model)
            #expect(subscribing.status == 0, "\(subscribing.errors)")
            let colleague = try await desk.stack.signIn("colleague", roles: ["admin", "user"])
            let refused = try await desk.run("bulk", "retry", "first", token: colleague)
            #expect(refused.status == 5 && refused.errors.contains("whoever asked"), "\(refused.errors)")
            let again = try await desk.run("bulk", "retry", "first")
            #expect(again.status == 0 && again.output.contains("completed"), "\(again.output)\(again.errors)")
            #expect(try await desk.run("bulk", "retry", "first").status == 5)
        }
    }

    @Test("what is not there, is meant by two, or is no file of people is refused with where it is")
    func errors() async throws {
        try await withDesk { desk in
            for arguments in [
                ["status", "nothing"], ["results", "nothing"], ["extend", "nothing", "--duration", "1d", "--yes"],
                ["revoke", "nothing", "--yes"], ["cancel", "nothing", "--yes"], ["retry", "nothing"],
                ["status", UUID().text],
            ] {
                let unknown = try await desk.program.run(
                    ["bulk"] + arguments,
                    environment: [
                        "ENV_FILE": "none", "LITEMAAS_URL": desk.stack.api, "LITEMAAS_TOKEN": desk.token,
                    ])
                #expect(unknown.status == 4 && unknown.errors.contains("no batch of keys"), "\(arguments)")
            }
            let person = try await desk.stack.signInId("learner")
            let colleague = try await desk.stack.signIn("colleague", roles: ["admin", "user"])
            var ids: [String] = []
            for token in [desk.token, colleague] {
                let made = try await desk.run(
                    "bulk", "create", "same", "--user", person, "--count", "1", "--model", desk.model, "--no-wait",
                    "--json", token: token)
                let batch = try JSON.decoder.decode(JSONValue.self, from: Data(made.output.utf8))
                ids.append(try #require(batch["id"]?.stringValue, "\(made.errors)"))
            }
            let both = try await desk.run("bulk", "status", "same")
            #expect(both.status == 2 && ids.allSatisfy(both.errors.contains), "\(both.errors)")

            let files: [(name: String, text: String, places: [String])] = [
                ("a.csv", "username,email\na,a@x.org\nb,nowhere\n", ["a.csv, row 3, email"]),
                ("b.csv", "username,email\n\na,nowhere\nb,nowhere\n", ["b.csv, row 3, email", "b.csv, row 4, email"]),
                ("c.csv", "username,email\na\n", ["c.csv, row 2"]),
                ("d.csv", "username,email\n\"a\n", ["d.csv, row 2"]),
                ("e.jsonl", "\"\(person)\"\nnonsense\n", ["e.jsonl, row 2"]),
                ("f.jsonl", "\"\(person)\"\n\n{\"username\":\"x\"}\n", ["f.jsonl, row 3, email"]),
                ("g.csv", "username,email\n", ["g.csv names nobody"]),
            ]
            for (name, text, places) in files {
                let refused = try await desk.run(
                    "bulk", "create", "bad", "--users", try desk.file(name, text), "--model", desk.model)
                #expect(refused.status == 2, "\(name): \(refused.errors)")
                for place in places { #expect(refused.errors.contains(place), "\(name): \(refused.errors)") }
            }
            let missing = try await desk.run("bulk", "create", "bad", "--users", "/no/such.csv", "--model", desk.model)
            #expect(missing.status == 1 && missing.errors.contains("/no/such.csv"))
            #expect(try await desk.count("select count(*) from key_batches") == 2)
        }
    }
}
