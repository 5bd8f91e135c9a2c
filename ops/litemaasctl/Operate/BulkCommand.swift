import ArgumentParser
import Foundation
import Shared
import Yams

/// `litemaasctl bulk`.
struct BulkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bulk", abstract: "Many keys at once, as for a workshop.",
        discussion: "Works over REST alone (--url or LITEMAAS_URL, with LITEMAAS_TOKEN); see docs/bulk-keys.md.",
        subcommands: [
            BulkCreateCommand.self, BulkStatusCommand.self, BulkResultsCommand.self, BulkExtendCommand.self,
            BulkRevokeCommand.self, BulkCancelCommand.self, BulkRetryCommand.self,
        ])
}

/// `litemaasctl bulk create`.
struct BulkCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Makes a key for each of many people, or many for one.",
        discussion: """
            The same call again gives the batch that there is, so it can be repeated after a failure. Ends 0 when every \
            key works, 5 when some failed.
            """)

    @Argument(help: "The batch's name.")
    var name: String
    @Option(help: "A file of people: CSV with username, email, fullName or id, or .jsonl.")
    var users: String?
    @Option(help: "For whom all of --count are.")
    var user: String?
    @Option(help: "So many keys for --user.")
    var count: Int?
    @Option(help: "A file with the template, JSON or YAML; options win over it.")
    var template: String?
    @Option(help: "A model; may be repeated.")
    var model: [String] = []
    @Option(help: "The keys' names, such as lab-{n} or {username}.")
    var keyName: String?
    @Option(help: "Dollars.")
    var maxBudget: Double?
    @Option(help: "When the budget starts anew, such as 30d.")
    var budgetDuration: String?
    @Option(help: "Requests a minute.")
    var rpm: Int?
    @Option(help: "Tokens a minute.")
    var tpm: Int?
    @Option(help: "How long the keys last, such as 7d.")
    var duration: String?
    @Option(help: "When they end, such as 2026-12-01T18:00:00Z.")
    var expiresAt: String?
    @Option(help: "A label; may be repeated.")
    var label: [String] = []
    @Flag(inversion: .prefixedNo, help: "Subscribe people to the models first.")
    var subscribe = true
    @Option(help: "Write the keys with their secrets to this new file (.csv, .json or .jsonl), readable for you alone.")
    var output: String?
    @Flag(inversion: .prefixedNo, help: "Follow the work to its end.")
    var wait = true
    @OptionGroup var options: OperatorOptions

    mutating func validate() throws {
        guard (users != nil) != (user != nil && count != nil) else {
            throw ValidationError("--users names a file, or --user and --count say for whom the keys are")
        }
        guard output == nil || wait else { throw ValidationError("--output needs the end: leave out --no-wait") }
    }

    func run() async throws {
        let file = try users.map(PeopleFile.init)
        let body = try request(file)
        let isQuiet = options.output.json
        let batch = try await options.actOverREST { way in
            let made: BatchReport
            do {
                made = try await way.createBatch(body)
            } catch let refusal as CommandRefusal {
                throw file?.naming(refusal) ?? refusal
            }
            guard wait else { return made }
            let done = try await Self.follow(made, way, isQuiet: isQuiet)
            if let output {
                try PrivateFile.write(
                    try await way.results(done.id, format: BulkResultsCommand.format(of: output)), to: output)
            }
            return done
        }
        try BulkStatusCommand.show(batch, json: isQuiet)
        if wait, batch.state != "completed" { throw ExitStatus.refused }
    }

    private func request(_ file: PeopleFile?) throws -> JSONValue {
        var members = try template.map(Self.template) ?? [:]
        if !model.isEmpty { members["modelIds"] = .array(model.map(JSONValue.string)) }
        let texts = [
            "keyName": keyName, "budgetDuration": budgetDuration, "duration": duration, "expiresAt": expiresAt,
        ]
        for (member, text) in texts { if let text { members[member] = .string(text) } }
        if let maxBudget { members["maxBudget"] = .double(maxBudget) }
        if let rpm { members["rpmLimit"] = .int(rpm) }
        if let tpm { members["tpmLimit"] = .int(tpm) }
        var body: [String: JSONValue] = [
            "name": .string(name), "template": .object(members), "labels": .array(label.map(JSONValue.string)),
            "subscribe": .bool(subscribe),
        ]
        if let file { body["users"] = .array(file.people) }
        if let user, let count {
            body["userId"] = .string(user)
            body["count"] = .int(count)
        }
        return .object(body)
    }

    /// The members of a template; JSON is YAML too.
    private static func template(_ path: String) throws -> [String: JSONValue] {
        do {
            let text = try String(contentsOf: URL(filePath: path), encoding: .utf8)
            return try YAMLDecoder().decode([String: JSONValue].self, from: text)
        } catch {
            throw CommandRefusal(status: .usage, "\(path) is no JSON or YAML object of a template's members.")
        }
    }

    /// Shows a bar until every key has come to its end.
    static func follow(_ made: BatchReport, _ way: RESTOperator, isQuiet: Bool) async throws -> BatchReport {
        var bar = ProgressBar(isQuiet: isQuiet)
        var batch = made
        while batch.state == "running" {
            bar.show(
                Double(batch.settled) / Double(max(1, batch.total)),
                "\(batch.counts["ready"] ?? 0) of \(batch.total) keys work, \(batch.counts["failed"] ?? 0) failed")
            try await Task.sleep(for: .milliseconds(500))
            batch = try await way.batch(made.id)
        }
        bar.clear()
        return batch
    }
}

/// `litemaasctl bulk status`.
struct BulkStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows a batch, or the newest ones.")

    @Argument(help: "The batch's name or id.")
    var batch: String?
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        if let batch {
            return try Self.show(
                try await options.actOverREST { try await $0.batch(batch) }, json: options.output.json)
        }
        let batches = try await options.actOverREST { try await $0.batches(limit: 20) }
        if options.output.json { return try Console.printJSON(batches) }
        guard !batches.isEmpty else { return Console.print("There is no batch.") }
        var table = Table(
            ["ID", "NAME", "STATE", "KEYS", "READY", "FAILED", "ASKED BY"],
            rightAligned: ["KEYS", "READY", "FAILED"])
        for batch in batches {
            table.add(
                batch.id, batch.name, batch.state, "\(batch.total)", "\(batch.counts["ready"] ?? 0)",
                "\(batch.counts["failed"] ?? 0)",
                "\(batch.requestedBy), \(Words.distance(batch.createdAt) ?? "")")
        }
        Console.print(table.text)
    }

    static func show(_ batch: BatchReport, json: Bool) throws {
        if json { return try Console.printJSON(batch) }
        var sheet = Sheet()
        sheet.add("batch", batch.id)
        sheet.add("name", batch.name)
        sheet.add("state", batch.state)
        sheet.add("keys", "\(batch.total)")
        for (status, count) in batch.counts.sorted(by: { $0.key < $1.key }) where count > 0 {
            sheet.add(status, "\(count)")
        }
        sheet.add("labels", batch.labels.joined(separator: ", "))
        sheet.add("keys end", Words.time(batch.expiresAt))
        sheet.add("secrets until", Words.time(batch.resultsUntil))
        sheet.add("job", batch.jobId)
        Console.print(sheet.text)
    }
}

/// `litemaasctl bulk results`.
struct BulkResultsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "results", abstract: "The keys of a batch, with their secrets for whoever asked for it.")

    @Argument(help: "The batch's name or id.")
    var batch: String
    @Option(help: "csv, json or jsonl; without it by the name of --output, else csv.")
    var format: String?
    @Option(help: "A new file, readable for you alone; else standard output.")
    var output: String?
    @OptionGroup var options: OperatorOptions

    /// By the end of a file's name.
    static func format(of path: String) -> String {
        ["json", "jsonl"].first { path.hasSuffix(".\($0)") } ?? "csv"
    }

    func run() async throws {
        let format = format ?? output.map(Self.format(of:)) ?? "csv"
        let bytes = try await options.actOverREST { way in
            try await way.results(try await way.batch(batch).id, format: format)
        }
        if let output {
            try PrivateFile.write(bytes, to: output)
        } else {
            Console.print(String(decoding: bytes, as: UTF8.self), terminator: "")
        }
    }
}
