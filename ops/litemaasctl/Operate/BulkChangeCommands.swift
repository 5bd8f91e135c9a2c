import ArgumentParser
import Foundation
import Jobs
import Shared

/// How many keys an action means.
struct BulkCount: Sendable {
    /// With those that are not made.
    var total: Int
    /// Still to be made.
    var waiting: Int
    /// That could not be made.
    var failed = 0

    /// Says what becomes of those that are not made when the others are revoked.
    var revocation: String {
        let unmade = [(waiting, "are still to be made"), (failed, "failed")].filter { $0.0 > 0 }
            .map { "\($0.0) \($0.1)" }
        return "\(total) keys are meant"
            + (unmade.isEmpty ? "." : "; \(unmade.joined(separator: ", ")): those stay unmade.")
    }
}

/// Which keys are meant: those of a batch, or those with labels.
struct BulkTargetOptions: ParsableArguments {
    @Argument(help: "The batch's name or id; or --label.")
    var batch: String?
    @Option(help: "A label; may be repeated.")
    var label: [String] = []
    @Option(help: "Whether a key needs all of the labels, or any.")
    var match = "all"
    @Flag(help: "Only count.")
    var dryRun = false
    @OptionGroup var following: BulkFollowOptions

    mutating func validate() throws {
        guard (batch == nil) != label.isEmpty else { throw ValidationError("name a batch, or --label") }
        guard ["all", "any"].contains(match) else { throw ValidationError("--match is all or any") }
    }

    /// Counts, asks, changes, and follows the job.
    func change(
        _ verb: String, _ members: [String: JSONValue], question: String, _ options: OperatorOptions
    ) async throws {
        let isQuiet = options.output.json
        let isRevoking = verb == "revoke"
        let outcome = try await options.actOverREST { way -> BulkOutcome in
            let (target, count) = try await find(verb, members, way)
            if !isQuiet { Console.print(isRevoking ? count.revocation : "\(count.total) keys are meant.") }
            guard !dryRun, count.total > 0 else { return .counted(count) }
            guard try following.agrees("\(question) \(count.total) keys?") else { return .counted(count) }
            let answer = try await way.change(target, verb, members, dryRun: false)
            return try await following.follow(answer, way, isQuiet: isQuiet)
        }
        try outcome.end(json: isQuiet)
    }

    /// What is meant, as the API counts it.
    private func find(
        _ verb: String, _ members: [String: JSONValue], _ way: RESTOperator
    ) async throws -> (BulkTarget, BulkCount) {
        guard let batch else {
            let target = BulkTarget.labels(label, match: match)
            let answer = try await way.change(target, verb, members, dryRun: true)
            // Labels prolong only what there is.
            let waiting = verb == "revoke" ? answer.waiting ?? 0 : 0
            return (target, BulkCount(total: (answer.matched ?? 0) + waiting, waiting: waiting))
        }
        let found = try await way.batch(batch)
        let total = ["waiting", "creating", "ready", "failed", "expired"].reduce(0) { $0 + (found.counts[$1] ?? 0) }
        return (
            .batch(found.id),
            BulkCount(total: total, waiting: found.counts["waiting"] ?? 0, failed: found.counts["failed"] ?? 0)
        )
    }
}

/// Whether people are asked before many keys change, and whether the work is followed.
struct BulkFollowOptions: ParsableArguments {
    @Flag(help: "Do not ask.")
    var yes = false
    @Flag(inversion: .prefixedNo, help: "Follow the work to its end.")
    var wait = true

    /// Whether it may be done.
    func agrees(_ question: String) throws -> Bool {
        if try yes || Confirmation.ask(question) { return true }
        Console.error("Nothing was done.")
        return false
    }

    /// The end of the answer's job, unless nobody waits for it.
    func follow(_ answer: BulkAnswer, _ way: RESTOperator, isQuiet: Bool) async throws -> BulkOutcome {
        guard let id = answer.job?.id else { return .nothing }
        return wait ? try await follow(id, way, isQuiet: isQuiet) : .begun(id)
    }

    private func follow(_ id: String, _ way: RESTOperator, isQuiet: Bool) async throws -> BulkOutcome {
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
enum BulkOutcome: Sendable {
    case nothing
    /// Without a change.
    case counted(BulkCount)
    case begun(String)
    case ended(String, succeeded: Bool, JSONValue?)

    /// Says what came of it; throws the exit status that belongs to it.
    func end(json: Bool) throws {
        if json { try showJSON() } else { show() }
        try check()
    }

    private func showJSON() throws {
        switch self {
        case .nothing: break
        case .counted(let count): try Console.printJSON(["matched": count.total, "waiting": count.waiting])
        case .begun(let id): try Console.printJSON(["jobId": id])
        case .ended(_, _, let report): try Console.printJSON(report ?? .null)
        }
    }

    private func show() {
        switch self {
        case .nothing, .counted: break
        case .begun(let id): Console.print("Job \(id) does it.")
        case .ended(let id, succeeded: true, let report):
            Console.print(
                "Done: \(report?["succeeded"]?.intValue ?? 0) keys changed, \(Self.failed(report)) failed (job \(id)).")
        case .ended(let id, succeeded: false, _): Console.error("The work (job \(id)) did not succeed.")
        }
    }

    /// Throws the exit status where not all was done.
    func check() throws {
        guard case .ended(_, let succeeded, let report) = self else { return }
        if !succeeded { throw ExitStatus.failed }
        if Self.failed(report) > 0 { throw ExitStatus.refused }
    }

    private static func failed(_ report: JSONValue?) -> Int {
        (report?["failed"]?.intValue ?? 0) + (report?["refused"]?.intValue ?? 0)
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

/// `litemaasctl bulk cancel`.
struct BulkCancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Stops a batch: no more keys are made.",
        discussion: "Keys that LiteLLM has stay, unless --revoke is given. A cancelled batch is not taken up again.")

    @Argument(help: "The batch's name or id.")
    var batch: String
    @Flag(help: "Revoke the keys that there are.")
    var revoke = false
    @Option(help: "For the audit log.")
    var reason: String?
    @OptionGroup var following: BulkFollowOptions
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        let isQuiet = options.output.json
        let (outcome, after) = try await options.actOverREST { way -> (BulkOutcome, BatchReport?) in
            let found = try await way.batch(batch)
            let unmade = (found.counts["waiting"] ?? 0) + (found.counts["creating"] ?? 0)
            let others = ["ready", "failed", "expired"].reduce(0) { $0 + (found.counts[$1] ?? 0) }
            let rest = revoke ? ", and revoke \(others)" : ""
            guard try following.agrees("Stop \(found.name), give up \(unmade) keys\(rest)?") else {
                return (.nothing, nil)
            }
            let answer = try await way.cancel(batch: found.id, revoking: revoke, reason: reason)
            let outcome = try await following.follow(answer, way, isQuiet: isQuiet)
            return (outcome, try await way.batch(found.id))
        }
        if let after { try BulkStatusCommand.show(after, json: isQuiet) }
        // Of two things only one is JSON.
        if !isQuiet { try outcome.end(json: false) } else { try outcome.check() }
    }
}

/// `litemaasctl bulk retry`.
struct BulkRetryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Tries again what failed in a batch that you asked for.",
        discussion: "Ends 0 when every key works, 5 when some failed again.")

    @Argument(help: "The batch's name or id.")
    var batch: String
    @Flag(inversion: .prefixedNo, help: "Follow the work to its end.")
    var wait = true
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        let isQuiet = options.output.json
        let done = try await options.actOverREST { way in
            let begun = try await way.retry(batch: try await way.batch(batch).id)
            return wait ? try await BulkCreateCommand.follow(begun, way, isQuiet: isQuiet) : begun
        }
        try BulkStatusCommand.show(done, json: isQuiet)
        if wait, done.state != "completed" { throw ExitStatus.refused }
    }
}
