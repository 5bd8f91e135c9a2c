import ArgumentParser
import Foundation
import Jobs
import Shared

extension ScheduleCatchUp: ExpressibleByArgument {}

/// `litemaasctl schedules`.
struct SchedulesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedules", abstract: "Looks at schedules, changes, enables, disables and triggers them.",
        subcommands: [
            SchedulesListCommand.self, SchedulesShowCommand.self, SchedulesNextCommand.self,
            SchedulesSetCommand.self, SchedulesEnableCommand.self, SchedulesDisableCommand.self,
            SchedulesTriggerCommand.self,
        ],
        defaultSubcommand: SchedulesListCommand.self)

    static func show(_ schedules: [JobSchedule], _ options: OperatorOptions) throws {
        if options.output.json { return try Console.printJSON(schedules) }
        guard !schedules.isEmpty else { return Console.print("There are no schedules.") }
        var table = Table(
            ["SCHEDULE", "KIND", "CRON", "TIME ZONE", "NEXT", "LAST", "JOB", "STATE"], rightAligned: ["JOB"])
        for schedule in schedules {
            let state =
                schedule.enabled
                ? (schedule.isRunning ? "running" : "waiting")
                : "disabled by \(schedule.disabledBy ?? "the settings")\(schedule.disableReason.map { ": \($0)" } ?? "")"
            table.add(
                schedule.name, schedule.kind, schedule.cron, schedule.timeZone, Words.distance(schedule.nextRunAt),
                Words.distance(schedule.lastTick), schedule.lastJobId.map { "\($0)" }, state)
        }
        Console.print(table.text)
    }
}

/// `litemaasctl schedules list`.
struct SchedulesListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists the schedules with their next and last run.")

    @OptionGroup var options: OperatorOptions

    func run() async throws {
        try SchedulesCommand.show(try await options.act { try await $0.schedules() }, options)
    }
}

/// `litemaasctl schedules show`.
struct SchedulesShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows one schedule and what came of its newest ticks.")

    @Argument(help: "The schedule.")
    var name: String
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        let report = try await options.act { try await $0.schedule(name, runs: 5) }
        if options.output.json { return try Console.printJSON(report) }
        let schedule = report.schedule
        var sheet = Sheet()
        sheet.add("schedule", schedule.name)
        sheet.add("", schedule.description)
        sheet.add("kind", schedule.kind)
        sheet.add("parameters", schedule.args.encodedString())
        sheet.add("cron", "\(schedule.cron) (\(schedule.timeZone))")
        sheet.add("catch up", "\(schedule.catchUp.rawValue), at most \(schedule.catchUpLimit)")
        sheet.add("jitter", "\(schedule.jitterSeconds) s")
        sheet.add("enabled", schedule.enabled ? "yes" : "no, by \(schedule.disabledBy ?? "the settings")")
        sheet.add("why", schedule.disableReason)
        sheet.add("next run", Words.time(schedule.nextRunAt))
        sheet.add("changed", "\(Words.time(schedule.changedAt) ?? "") by \(schedule.changedBy ?? "the settings")")
        Console.print(sheet.text)
        guard !report.ticks.isEmpty else { return }
        var table = Table(["TICK", "OUTCOME", "TICKS", "JOB", "BY"], rightAligned: ["TICKS", "JOB"])
        for tick in report.ticks {
            table.add(
                Words.time(tick.tick), tick.outcome.rawValue, "\(tick.ticks)", tick.jobId.map { "\($0)" },
                tick.decidedBy)
        }
        Console.print("\n" + table.text)
    }
}

/// `litemaasctl schedules next`.
struct SchedulesNextCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "next", abstract: "Shows the runs to come, also of a disabled schedule.")

    @Argument(help: "The schedule.")
    var name: String
    @Option(help: "How many, 1 to 100.")
    var count = 5
    @OptionGroup var options: OperatorOptions

    mutating func validate() throws {
        guard (1...100).contains(count) else { throw ValidationError("--count is 1 to 100") }
    }

    func run() async throws {
        let runs = try await options.act { try await $0.schedule(name, runs: count).nextRuns }
        if options.output.json { return try Console.printJSON(runs) }
        for run in runs { Console.print("\(Words.time(run.runAt) ?? "")  \(Words.distance(run.runAt) ?? "")") }
    }
}

/// `litemaasctl schedules set`.
struct SchedulesSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Changes a schedule; what is left out stays as it is.",
        discussion: "A changed schedule does not follow the settings of the programs any more.")

    @Argument(help: "The schedule.")
    var name: String
    @Option(help: "Such as '*/15 * * * *', with seconds '0 */15 * * * *', or '@every 10m'.")
    var cron: String?
    @Option(help: "An IANA name such as Europe/Prague.")
    var timeZone: String?
    @Option(help: "What becomes of ticks that were missed: none, once, all.")
    var catchUp: ScheduleCatchUp?
    @Option(help: "Of more missed ticks than this only the newest run.")
    var catchUpLimit: Int?
    @Option(help: "Each run starts up to so many seconds late.")
    var jitterSeconds: Int?
    @Option(help: "What it is for.")
    var describe: String?
    @Option(help: "The parameters of its jobs, as JSON.")
    var args: String?
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        var change = ScheduleChange()
        change.cron = cron
        change.timeZone = timeZone
        change.catchUp = catchUp
        change.catchUpLimit = catchUpLimit
        change.jitterSeconds = jitterSeconds
        change.description = describe
        if let args {
            do {
                change.args = try JSON.decoder.decode(JSONValue.self, from: Data(args.utf8))
            } catch {
                throw ValidationError("--args is JSON, such as '{\"date\": \"2026-01-01\"}'")
            }
        }
        guard change != ScheduleChange() else { throw ValidationError("name something to change, such as --cron") }
        let wanted = change
        try SchedulesCommand.show([try await options.act { try await $0.update(schedule: name, wanted) }], options)
    }
}

/// `litemaasctl schedules enable`.
struct SchedulesEnableCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable", abstract: "Lets a schedule run, from now on.")

    @Argument(help: "The schedule.")
    var name: String
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        try SchedulesCommand.show(
            [try await options.act { try await $0.setEnabled(true, schedule: name, reason: nil) }], options)
    }
}

/// `litemaasctl schedules disable`.
struct SchedulesDisableCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable", abstract: "Lets a schedule run no more; a job that runs goes on.")

    @Argument(help: "The schedule.")
    var name: String
    @Option(help: "Why; everybody who looks sees it.")
    var reason: String?
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        try SchedulesCommand.show(
            [try await options.act { try await $0.setEnabled(false, schedule: name, reason: reason) }], options)
    }
}

/// `litemaasctl schedules trigger`.
struct SchedulesTriggerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trigger", abstract: "Runs a schedule's job now, also when it is disabled.")

    @Argument(help: "The schedule.")
    var name: String
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        let id = try await options.act { try await $0.trigger(schedule: name) }
        if options.output.json { return try Console.printJSON(["jobId": id]) }
        Console.print("Job \(id) runs it: litemaasctl jobs show \(id)")
    }
}
