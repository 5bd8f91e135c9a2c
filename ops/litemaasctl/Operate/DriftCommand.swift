import ArgumentParser
import Foundation
import Jobs
import Shared

/// A page of findings.
struct DriftPage: Codable, Sendable {
    struct Pagination: Codable, Sendable {
        var page: Int
        var limit: Int
        var total: Int
        var totalPages: Int
    }

    var data: [DriftReport]
    var pagination: Pagination
}

/// What an operator decides about a finding.
enum DriftDecision: Sendable {
    case repair
    case ignore(reason: String?)
    case revoke(confirm: String?)
    case adopt(userId: UUID, name: String?, subscribe: Bool, replaceMetadata: Bool)
}

/// `litemaasctl drift`.
struct DriftCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drift", abstract: "Shows where LiteLLM is not as it should be, and decides about it.",
        subcommands: [
            DriftListCommand.self, DriftRepairCommand.self, DriftIgnoreCommand.self, DriftAdoptCommand.self,
            DriftRevokeCommand.self,
        ],
        defaultSubcommand: DriftListCommand.self)

    static func table(_ findings: [DriftReport]) -> Table {
        var table = Table(
            ["ID", "TYPE", "KIND", "OBJECT", "NAME", "FIELD", "WANTED", "FOUND", "STATE", "SEEN"],
            rightAligned: ["ID"])
        for finding in findings {
            table.add(
                finding.id, finding.type.rawValue, finding.kind.rawValue, String(finding.objectId.prefix(36)),
                finding.name, finding.field, finding.wanted, finding.found, finding.state.rawValue,
                Words.distance(finding.lastSeenAt))
        }
        return table
    }

    static func decide(_ id: Int64, _ decision: DriftDecision, _ options: OperatorOptions) async throws {
        let finding = try await options.act { try await $0.decide(id, decision) }
        if options.output.json { return try Console.printJSON(finding) }
        Console.print(table([finding]).text)
        if let job = finding.jobId, finding.state == .repairing {
            Console.print("→ litemaasctl jobs show \(job)")
        }
    }
}

/// `litemaasctl drift list`.
struct DriftListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists findings, newest look first.")

    @Option(help: "user, team, key or model; may be repeated.")
    var type: [DriftObject] = []
    @Option(help: "missing, unknown, foreign, differs or alive; may be repeated.")
    var kind: [DriftKind] = []
    @Option(help: "open, repairing, ignored, ...; may be repeated. Left out: what lasts.")
    var state: [DriftState] = []
    @Option(help: "The page, from 1.")
    var page = 1
    @Option(help: "Findings on a page, 1 to 100.")
    var limit = 50
    @OptionGroup var options: OperatorOptions

    mutating func validate() throws {
        guard page > 0, (1...100).contains(limit) else { throw ValidationError("--page is above 0, --limit 1 to 100") }
    }

    func run() async throws {
        var filter = DriftFilter()
        filter.objects = type
        filter.kinds = kind
        filter.states = state.isEmpty ? [.open, .repairing, .ignored] : state
        filter.page = PageRequest(number: page, size: limit)
        let asked = filter
        let found = try await options.act { try await $0.findings(asked) }
        if options.output.json { return try Console.printJSON(found) }
        Console.print(DriftCommand.table(found.data).text)
        Console.print(
            "\(found.pagination.total) findings, page \(found.pagination.page) of \(found.pagination.totalPages).")
    }
}

/// `litemaasctl drift repair`.
struct DriftRepairCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair", abstract: "Has LiteLLM made as our row wants it.")

    @Argument(help: "The finding.")
    var id: Int64
    @OptionGroup var options: OperatorOptions

    func run() async throws { try await DriftCommand.decide(id, .repair, options) }
}

/// `litemaasctl drift ignore`.
struct DriftIgnoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ignore", abstract: "Leaves LiteLLM as it is; no policy acts on the finding any more.")

    @Argument(help: "The finding.")
    var id: Int64
    @Option(help: "Why; the audit log keeps it.")
    var reason: String?
    @OptionGroup var options: OperatorOptions

    func run() async throws { try await DriftCommand.decide(id, .ignore(reason: reason), options) }
}

/// `litemaasctl drift adopt`.
struct DriftAdoptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "adopt", abstract: "Takes a key that nobody made here under our care, for a person.")

    @Argument(help: "The finding.")
    var id: Int64
    @Option(
        help: "The id of the user whose it will be.",
        transform: { text in
            guard let id = UUID(uuidString: text) else { throw ValidationError("--user is a UUID") }
            return id
        })
    var user: UUID
    @Option(help: "What it will be called; left out: its alias.")
    var name: String?
    @Flag(help: "Subscribe the person to the models that they lack.")
    var subscribe = false
    @Flag(help: "Let metadata go that the key has in LiteLLM.")
    var replaceMetadata = false
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        try await DriftCommand.decide(
            id, .adopt(userId: user, name: name, subscribe: subscribe, replaceMetadata: replaceMetadata), options)
    }
}

/// `litemaasctl drift revoke`.
struct DriftRevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Has LiteLLM refuse a key that has no row here, and delete it later.")

    @Argument(help: "The finding.")
    var id: Int64
    @Option(help: "The key's alias or hash.")
    var confirm: String?
    @OptionGroup var options: OperatorOptions

    func run() async throws { try await DriftCommand.decide(id, .revoke(confirm: confirm), options) }
}
