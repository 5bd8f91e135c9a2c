package import Foundation
package import Shared

/// What becomes of ticks that could not start in time, because no worker was there or the run before had not ended.
package enum ScheduleCatchUp: String, Sendable, Codable, CaseIterable {
    /// They are given up.
    case none
    /// One run stands for all of them.
    case once
    /// Each runs, one after the other; of more than ``JobSchedule/catchUpLimit`` the newest.
    case all

    var code: Int16 {
        switch self {
        case .none: 0
        case .once: 1
        case .all: 2
        }
    }

    init(code: Int16) { self = Self.allCases.first { $0.code == code } ?? .once }
}

/// A schedule as stored.
package struct JobSchedule: Codable, Sendable, Equatable {
    package var name: String
    package var description: String
    /// The kind of job it puts in.
    package var kind: String
    /// The parameters of its jobs.
    package var args: JSONValue
    /// Such as `*/15 * * * *`; see ``CronExpression``.
    package var cron: String
    /// An IANA name such as `Europe/Prague`.
    package var timeZone: String
    package var catchUp: ScheduleCatchUp
    package var catchUpLimit: Int
    /// Each tick starts up to so many seconds late, always the same for one tick.
    package var jitterSeconds: Int
    package var enabled: Bool
    package var disabledBy: String?
    package var disableReason: String?
    /// When the next job is put in, jitter included; nil while disabled.
    package var nextRunAt: Date?
    /// The newest tick that was decided.
    package var lastTick: Date?
    /// The job of the newest run.
    package var lastJobId: JobNumber?
    /// Whether that job has not ended yet.
    package var isRunning: Bool
    /// Who changed it last; nil while it is as the programs made it.
    package var changedBy: String?
    package var changedAt: Date
}

/// A schedule to make.
package struct ScheduleDraft: Codable, Sendable, Equatable {
    package var name: String
    package var description: String
    package var kind: String
    package var args: JSONValue
    package var cron: String
    package var timeZone: String
    package var catchUp: ScheduleCatchUp
    /// 1...1000.
    package var catchUpLimit: Int
    package var jitterSeconds: Int
    package var enabled: Bool

    package init(
        name: String, description: String = "", kind: String, args: JSONValue = [:], cron: String,
        timeZone: String = "UTC", catchUp: ScheduleCatchUp = .once, catchUpLimit: Int = 10, jitterSeconds: Int = 0,
        enabled: Bool = true
    ) {
        self.name = name
        self.description = description
        self.kind = kind
        self.args = args
        self.cron = cron
        self.timeZone = timeZone
        self.catchUp = catchUp
        self.catchUpLimit = catchUpLimit
        self.jitterSeconds = jitterSeconds
        self.enabled = enabled
    }

    /// A schedule for one job with these parameters.
    package init(
        name: String, description: String, job: some JobKind, cron: String, timeZone: String = "UTC",
        catchUp: ScheduleCatchUp = .once, jitterSeconds: Int = 0, enabled: Bool = true
    ) throws {
        self.init(
            name: name, description: description, kind: type(of: job).name,
            args: try JSON.decoder.decode(JSONValue.self, from: JSON.encoder.encode(job)), cron: cron,
            timeZone: timeZone, catchUp: catchUp, jitterSeconds: jitterSeconds, enabled: enabled)
    }
}

/// What is to change of a schedule; nil leaves a part as it is.
package struct ScheduleChange: Codable, Sendable, Equatable {
    package var description: String?
    package var args: JSONValue?
    package var cron: String?
    package var timeZone: String?
    package var catchUp: ScheduleCatchUp?
    package var catchUpLimit: Int?
    package var jitterSeconds: Int?

    package init() {}
}

/// A run to come.
package struct ScheduleRun: Codable, Sendable, Equatable {
    /// The time the expression names.
    package var tick: Date
    /// When the job is put in: the tick and its jitter.
    package var runAt: Date
}

/// What came of one tick.
package struct ScheduleTick: Codable, Sendable, Equatable {
    package enum Outcome: String, Codable, Sendable {
        case run
        /// Given up: the run before it had not ended.
        case stillRunning = "still_running"
        /// Given up: no worker was there in time.
        case missed
        /// Run by a person out of turn.
        case triggered

        var code: Int16 {
            switch self {
            case .run: 0
            case .stillRunning: 1
            case .missed: 2
            case .triggered: 3
            }
        }

        init(code: Int16) {
            self =
                switch code {
                case 1: .stillRunning
                case 2: .missed
                case 3: .triggered
                default: .run
                }
        }
    }

    package var tick: Date
    package var outcome: Outcome
    /// How many ticks it stands for.
    package var ticks: Int
    package var jobId: JobNumber?
    /// Who triggered it.
    package var decidedBy: String?
    package var decidedAt: Date
}

/// What the schedules refuse, in words for the caller.
package enum JobScheduleError: Error, Sendable, Equatable, CustomStringConvertible {
    case notFound(String)
    case exists(String)
    /// A part of it cannot be; the fix is said.
    case invalid(field: String, problem: String, fix: String)
    /// Runs of one schedule never overlap.
    case stillRunning(String, jobId: Int64)

    package var description: String {
        switch self {
        case .notFound(let name): "There is no schedule named \(name)."
        case .exists(let name): "There is a schedule named \(name) already."
        case .invalid(let field, let problem, let fix): "\(field): \(problem); \(fix)."
        case .stillRunning(let name, let jobId):
            "The last run of \(name), job \(jobId), has not ended, and runs of one schedule never overlap."
        }
    }
}

extension JobScheduleError {
    /// The same as other refusals of operators' wishes.
    package var administration: AdministrationError {
        switch self {
        case .notFound(let name): .notFound("schedule", name)
        case .exists(let name), .stillRunning(let name, _): .conflict(description, resource: "schedule", name)
        case .invalid(let field, let problem, let fix):
            // `cron (minute)` is a part of the input `cron`.
            .invalid(
                String(field.prefix { $0 != " " }),
                "\(field.drop { $0 != " " }.dropFirst())\(field.contains(" ") ? " " : "")\(problem); \(fix).")
        }
    }
}
