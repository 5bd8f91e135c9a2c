import ArgumentParser
import Foundation
import Jobs
import Shared

/// Which keys are meant: those of a batch, or those with labels.
struct BulkTargetOptions: ParsableArguments {
    @Argument(help: "The batch's id; or --label.")
    var id: String?
    @Option(help: "A label; may be repeated.")
    var label: [String] = []
    @Option(help: "Whether a key needs all of the labels, or any.")
    var match = "all"
    @Flag(help: "Only count.")
    var dryRun = false
    @Flag(help: "Do not ask.")
    var yes = false
    @Flag(inversion: .prefixedNo, help: "Follow the work to its end.")
    var wait = true

    mutating func validate() throws {
        guard (id == nil) != label.isEmpty else { throw ValidationError("name a batch, or --label") }
        guard ["all", "any"].contains(match) else { throw ValidationError("--match is all or any") }
    }

    private var target: BulkTarget { id.map(BulkTarget.batch) ?? .labels(label, match: match) }

    /// Counts, asks, changes, and follows the job.
    func change(
        _ verb: String, _ members: [String: JSONValue], question: String, _ options: OperatorOptions
    ) async throws {
        let isQuiet = options.output.json
        let job = try await options.actOverREST { way -> JobReportOrNone in
            let count = try await count(verb, members, way)
            if !isQuiet { Console.print("\(count) keys are meant.") }
            guard !dryRun, count > 0 else { return .none }
            if !yes, try !Confirmation.ask("\(question) \(count) keys?") {
                Console.error("Nothing was done.")
                return .none
            }
            guard let job = try await way.change(target, verb, members, dryRun: false).job else { return .none }
            return wait ? try await follow(job.id, way, isQuiet: isQuiet) : .begun(job.id)
        }
        try job.end(json: isQuiet)
    }

    private func count(_ verb: String, _ members: [String: JSONValue], _ way: RESTOperator) async throws -> Int {
        switch target {
        case .labels:
            return try await way.change(target, verb, members, dryRun: true).matched ?? 0
        case .batch(let id):
            let counts = try await way.batch(id).counts
            return ["creating", "ready", "failed", "expired"].reduce(0) { $0 + (counts[$1] ?? 0) }
        }
    }

    private func follow(_ id: String, _ way: RESTOperator, isQuiet: Bool) async throws -> JobReportOrNone {
        guard let number = Int64(id) else { return .begun(id) }
        var bar = ProgressBar(isQuiet: isQuiet)
        while true {
            let job = try await way.job(number)
            if job.state.isFinal {
                bar.clear()
                return .ended(id, succeeded: job.state == .succeeded, job.result)
            }
            bar.show(job.progress?.fraction, job.progress?.message ?? "job \(id) is \(job.state.rawValue)")
            try await Task.sleep(for: .milliseconds(500))
        }
    }
}

/// How far an action on many keys was followed.
enum JobReportOrNone: Sendable {
    case none
    case begun(String)
    case ended(String, succeeded: Bool, JSONValue?)

    /// Says what came of it; throws the exit status that belongs to it.
    func end(json: Bool) throws {
        switch self {
        case .none: if json { try Console.printJSON([String: String]()) }
        case .begun(let id):
            if json { try Console.printJSON(["jobId": id]) } else { Console.print("Job \(id) does it.") }
        case .ended(let id, let succeeded, let report):
            let failed = (report?["failed"]?.intValue ?? 0) + (report?["refused"]?.intValue ?? 0)
            if json {
                try Console.printJSON(report ?? .null)
            } else if succeeded {
                Console.print(
                    "Done: \(report?["succeeded"]?.intValue ?? 0) keys changed, \(failed) failed (job \(id)).")
            } else {
                Console.error("The work (job \(id)) did not succeed.")
            }
            if !succeeded { throw ExitStatus.failed }
            if failed > 0 { throw ExitStatus.refused }
        }
    }
}

/// `litemaasctl bulk extend`.
struct BulkExtendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "extend", abstract: "Prolongs the keys of a batch, or of labels.",
        discussion: "Keys that last longer already stay as they are.")

    @Option(help: "From now, such as 7d.")
    var duration: String?
    @Option(help: "Until then, such as 2026-12-01T18:00:00Z.")
    var expiresAt: String?
    @OptionGroup var target: BulkTargetOptions
    @OptionGroup var options: OperatorOptions

    mutating func validate() throws {
        guard (duration == nil) != (expiresAt == nil) else { throw ValidationError("--duration or --expires-at") }
    }

    func run() async throws {
        var members: [String: JSONValue] = [:]
        if let duration { members["duration"] = .string(duration) }
        if let expiresAt { members["expiresAt"] = .string(expiresAt) }
        try await target.change("extend", members, question: "Prolong", options)
    }
}

/// `litemaasctl bulk revoke`.
struct BulkRevokeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "Revokes the keys of a batch, or of labels.")

    @Option(help: "For the audit log.")
    var reason: String?
    @OptionGroup var target: BulkTargetOptions
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        try await target.change(
            "revoke", reason.map { ["reason": .string($0)] } ?? [:], question: "Revoke", options)
    }
}
