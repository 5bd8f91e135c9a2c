import ArgumentParser
import Foundation
import Jobs
import Shared

/// `litemaasctl alerts`.
struct AlertsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alerts", abstract: "Shows what a person should know of, worst first, and what to do.",
        discussion: "Exit status 0 also when there are some; `doctor` looks at more, and ends by what it finds.")

    @OptionGroup var options: OperatorOptions

    func run() async throws {
        let found = try await options.act { try await $0.alerts() }
        if options.output.json { return try Console.printJSON(found) }
        guard !found.alerts.isEmpty else { return Console.print("There is nothing to tell.") }
        var table = Table(["SEVERITY", "TYPE", "SINCE", "ABOUT", "MESSAGE"])
        for alert in found.alerts {
            table.add(
                alert.severity.rawValue, alert.type.rawValue, Words.distance(alert.createdAt),
                [alert.entityType, alert.entityId].compactMap(\.self).joined(separator: "/"), alert.message)
        }
        Console.print(table.text)
        let listed = found.alerts.count { $0.type == .budget }
        if found.budgetAlerts > listed { Console.print("… and \(found.budgetAlerts - listed) more budgets.") }
    }
}
