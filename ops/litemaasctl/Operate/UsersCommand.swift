import ArgumentParser
import Foundation
import Jobs
import Shared

/// `litemaasctl users`.
struct UsersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "users", abstract: "Changes many users at once.", subcommands: [UsersLimitsCommand.self])
}

/// Limits to be set, and for whom.
struct UserLimitsOrder: Sendable {
    var limits = LimitsChange()
    var filter = ActiveUserFilter()

    /// What the API wants.
    var body: [String: JSONValue] {
        var body: [String: JSONValue] = [:]
        func add<Value>(_ name: String, _ change: FieldChange<Value>, _ json: (Value) -> JSONValue) {
            switch change {
            case .keep: break
            case .clear: body[name] = .null
            case .set(let value): body[name] = json(value)
            }
        }
        add("maxBudget", limits.maxBudget) { .double(NSDecimalNumber(decimal: $0).doubleValue) }
        add("budgetDuration", limits.budgetDuration, JSONValue.string)
        add("tpmLimit", limits.tpmLimit, JSONValue.int)
        add("rpmLimit", limits.rpmLimit, JSONValue.int)
        var members: [String: JSONValue] = [:]
        if let ids = filter.userIds { members["userIds"] = .array(ids.map { .string($0.text) }) }
        if let roles = filter.roles { members["roles"] = .array(roles.map { .string($0.rawValue) }) }
        if let search = filter.search { members["search"] = .string(search) }
        if !members.isEmpty { body["filter"] = .object(members) }
        return body
    }
}

/// `litemaasctl users limits`.
struct UsersLimitsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limits", abstract: "Sets limits of all active users, or of those that are named.",
        discussion: """
            What is not named stays; `none` takes a limit away, and 0 is a limit. The change is a job with one child for \
            each user: `litemaasctl jobs show` tells how far it is and who failed.
            """)

    @Option(help: "Dollars, or none.")
    var maxBudget: String?
    @Option(help: "Such as monthly or 30d, or none.")
    var budgetDuration: String?
    @Option(help: "Tokens a minute, or none.")
    var tpmLimit: String?
    @Option(help: "Requests a minute, or none.")
    var rpmLimit: String?
    @Option(name: .customLong("user"), help: "The id of a user; may be repeated.")
    var users: [String] = []
    @Option(name: .customLong("role"), help: "Only users with this role; may be repeated.")
    var roles: [String] = []
    @Option(help: "Only users whose name or address contains this.")
    var search: String?
    @Flag(help: "Only say how many users it would reach.")
    var dryRun = false
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        let order = try order()
        if dryRun {
            let count = try await options.act { try await $0.countUsers(for: order) }
            if options.output.json { return try Console.printJSON(["totalUsers": count]) }
            return Console.print("\(count) active users.")
        }
        let job = try await options.act { try await $0.setLimits(order) }
        if options.output.json { return try Console.printJSON(["jobId": job.map { "\($0)" }]) }
        Console.print(job.map { "Job \($0) sets the limits." } ?? "No active user is meant.")
    }

    private func order() throws -> UserLimitsOrder {
        var order = UserLimitsOrder()
        order.limits.maxBudget = try Self.change("--max-budget", maxBudget) {
            Decimal(string: $0, locale: Locale(identifier: "C"))
        }
        order.limits.budgetDuration = try Self.change("--budget-duration", budgetDuration) { $0 }
        order.limits.tpmLimit = try Self.change("--tpm-limit", tpmLimit) { Int($0) }
        order.limits.rpmLimit = try Self.change("--rpm-limit", rpmLimit) { Int($0) }
        guard order.limits != LimitsChange() else {
            throw CommandRefusal(
                status: .usage, "Name at least one of --max-budget, --budget-duration, --tpm-limit, --rpm-limit.")
        }
        if !users.isEmpty {
            order.filter.userIds = try users.map { text in
                guard let id = UUID(uuidString: text) else {
                    throw CommandRefusal(status: .usage, "--user: '\(text)' is not the id of a user.")
                }
                return id
            }
        }
        if !roles.isEmpty {
            order.filter.roles = try roles.map { text in
                guard let role = Role(spelling: text) else {
                    let known = Role.allCases.map(\.rawValue).joined(separator: ", ")
                    throw CommandRefusal(status: .usage, "--role: '\(text)' is not one of \(known).")
                }
                return role
            }
        }
        order.filter.search = search
        return order
    }

    private static func change<Value>(
        _ option: String, _ text: String?, _ read: (String) -> Value?
    ) throws -> FieldChange<Value> {
        guard let text else { return .keep }
        if text == "none" { return .clear }
        guard let value = read(text) else {
            throw CommandRefusal(status: .usage, "\(option): '\(text)' is neither a value nor none.")
        }
        return .set(value)
    }
}
