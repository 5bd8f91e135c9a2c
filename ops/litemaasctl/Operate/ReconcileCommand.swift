import ArgumentParser
import Foundation
import Jobs
import Shared

extension ReconcileScope: ExpressibleByArgument {}
extension DriftObject: ExpressibleByArgument {}
extension DriftKind: ExpressibleByArgument {}
extension DriftState: ExpressibleByArgument {}

/// `litemaasctl reconcile`.
struct ReconcileCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reconcile", abstract: "Compares LiteLLM with our rows, and waits for what is found.",
        discussion: """
            Without --apply it only looks. With it, what works and must not is refused, and the rest is done that \
            --policy says: missing=repair, differs=repair, unknown=revoke, alive=report. The work itself is a job that \
            goes on when this program ends.

            Ends 0 when LiteLLM is as it should be, 1 when something is left or a list was not believed.
            """)

    @Flag(help: "Set right what the policy says, instead of only looking.")
    var apply = false
    @Option(help: "users, teams, keys or models; may be repeated. Left out: all.")
    var scope: [ReconcileScope] = []
    @Option(help: "KIND=ACTION, such as differs=repair; may be repeated.")
    var policy: [String] = []
    @OptionGroup var options: OperatorOptions

    mutating func validate() throws { _ = try parsedPolicy() }

    private func parsedPolicy() throws -> ReconcilePolicy {
        var parsed = ReconcilePolicy()
        for text in policy {
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, let kind = DriftKind(rawValue: parts[0]),
                let action = ReconcilePolicy.Action(rawValue: parts[1]),
                ReconcilePolicy.choices(for: kind)?.contains(action) == true
            else {
                let known = DriftKind.allCases.compactMap { kind in
                    ReconcilePolicy.choices(for: kind).map { "\(kind)=\($0.map(\.rawValue).joined(separator: "|"))" }
                }
                throw ValidationError("--policy \(text): use \(known.joined(separator: ", "))")
            }
            parsed.set(action, for: kind)
        }
        return parsed
    }

    func run() async throws {
        let (policy, scope) = (try parsedPolicy(), scope.isEmpty ? nil : scope)
        try await options.act { way in
            let number = try await way.reconcile(scope: scope, dryRun: !apply, policy: policy)
            let job = try await wait(for: number, way)
            guard job.state == .succeeded, let result = job.result else {
                throw CommandFailure(
                    description: "Job \(number) ended \(job.state.rawValue): \(job.error?.message ?? "no reason").")
            }
            let walk = result["reconciliationId"].flatMap { $0.intValue.map { Int64($0) } }
            var filter = DriftFilter()
            filter.reconciliationId = walk
            filter.states = [.open, .repairing]
            filter.page = PageRequest(number: 1, size: 100)
            let page = try await way.findings(filter)
            try report(result, page)
            guard page.pagination.total == 0, result["isComplete"]?.boolValue == true else { throw ExitStatus.failed }
        }
    }

    private func wait(for number: JobNumber, _ way: any Operator) async throws -> JobReport {
        var bar = ProgressBar(isQuiet: options.output.json)
        defer { bar.clear() }
        while true {
            let job = try await way.job(number.value)
            if job.state.isFinal { return job }
            bar.show(job.progress?.fraction, job.progress?.message ?? "Job \(number) is \(job.state.rawValue).")
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private func report(_ result: JSONValue, _ page: DriftPage) throws {
        if options.output.json { return try Console.printJSON(page) }
        for doubt in result["doubts"]?.arrayValue?.compactMap(\.stringValue) ?? [] { Console.error(doubt) }
        let figures = ["repaired", "revoked", "failed"].map { "\($0) \(result[$0]?.intValue ?? 0)" }
        Console.print("Left: \(page.pagination.total). " + figures.joined(separator: ", ") + ".")
        guard !page.data.isEmpty else { return }
        Console.print(DriftCommand.table(page.data).text)
        if page.pagination.total > page.data.count { Console.print("The rest: litemaasctl drift list --page 2") }
    }
}
