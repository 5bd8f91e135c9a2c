import ArgumentParser
import Foundation
import Jobs
import Shared

extension JobState: ExpressibleByArgument {}

/// Which jobs are meant; what is given must all hold.
struct JobFilterOptions: ParsableArguments {
    @Option(help: "A kind such as key.create; may be repeated.")
    var kind: [String] = []

    @Option(help: "A state; may be repeated.")
    var state: [JobState] = []

    @Option(help: "A queue; may be repeated.")
    var queue: [String] = []

    @Option(help: "What the jobs act on: a type such as api_key, or TYPE/ID.")
    var resource: String?

    @Option(help: "The code of the error that a job ended with; of an unfinished one, of its last failed attempt.")
    var errorCode: String?

    @Option(help: "A text in error messages, parameters, keys, resource and request ids.")
    var text: String?

    @Option(help: "The id of who asked for the jobs.")
    var requestedBy: String?

    @Option(help: "Asked for since this time, such as 2026-11-23T08:00:00Z, or for so long, such as 2h.")
    var since: Moment?

    @Option(help: "Asked for before this time, or longer ago than this.")
    var until: Moment?

    /// The query; `ids` are added to it.
    func query(ids: [Int64] = []) -> JobQuery {
        var query = JobQuery()
        if !kind.isEmpty { query.kinds = kind }
        if !state.isEmpty { query.states = state }
        if !queue.isEmpty { query.queues = queue }
        if let resource {
            let parts = resource.split(separator: "/", maxSplits: 1).map(String.init)
            query.resourceType = parts.first
            query.resourceId = parts.count > 1 ? parts[1] : nil
        }
        query.errorCode = errorCode
        query.text = text
        query.requestedBy = requestedBy
        query.createdAfter = since?.past
        query.createdBefore = until?.past
        if !ids.isEmpty { query.ids = ids.map { JobNumber($0) } }
        return query
    }
}

/// A point in time: `2026-11-23T08:00:00Z`, or a distance from now such as `90s`, `15m`, `2h`, `7d`.
enum Moment: ExpressibleByArgument, Equatable {
    case at(Date)
    case distance(TimeInterval)

    init?(argument: String) {
        if let date = ISO8601.date(from: argument) {
            self = .at(date)
            return
        }
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        let text = argument.hasPrefix("+") ? argument.dropFirst() : Substring(argument)
        guard let unit = text.last.flatMap({ units[$0] }), let number = Double(text.dropLast()), number >= 0 else {
            return nil
        }
        self = .distance(number * unit)
    }

    /// A distance counts back from now.
    var past: Date {
        switch self {
        case .at(let date): date
        case .distance(let seconds): Date(timeIntervalSinceNow: -seconds)
        }
    }

    /// A distance counts from now on.
    var future: Date {
        switch self {
        case .at(let date): date
        case .distance(let seconds): Date(timeIntervalSinceNow: seconds)
        }
    }
}
