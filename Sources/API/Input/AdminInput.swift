import Foundation
import Jobs
import Shared

/// The filters that operators name jobs by, from a query or from a body.
enum AdminInput {
    private static let nameLimit = 100
    private static let names = 20

    /// Reads a filter from a query; check the fields afterwards.
    static func filter(_ query: inout QueryFields) -> JobQuery {
        var filter = JobQuery()
        filter.kinds = some(query.strings("kind", limit: nameLimit, count: names).flatMap(split))
        filter.states = some(query.choices("state", of: JobState.self))
        filter.queues = some(query.strings("queue", limit: nameLimit, count: names).flatMap(split))
        filter.resourceType = query.string("resourceType", limit: nameLimit)
        filter.resourceId = query.string("resourceId")
        filter.errorCode = query.string("errorCode", limit: nameLimit)
        filter.text = query.string("text")
        filter.requestedBy = query.string("requestedBy")
        filter.createdAfter = query.date("createdAfter")
        filter.createdBefore = query.date("createdBefore")
        filter.finishedAfter = query.date("finishedAfter")
        filter.finishedBefore = query.date("finishedBefore")
        filter.discarded = query.bool("discarded")
        return filter
    }

    /// Reads the members of a filter in a body; check the fields afterwards.
    static func filter(_ fields: inout Fields) -> JobQuery {
        var filter = JobQuery()
        let lengths = 1...nameLimit
        filter.kinds = fields.strings("kind", count: 1...names, length: lengths)
        filter.states = fields.strings("state", count: 1...JobState.allCases.count, length: lengths)
            .flatMap { states(of: $0, &fields) }
        filter.queues = fields.strings("queue", count: 1...names, length: lengths)
        filter.resourceType = fields.string("resourceType", length: lengths)
        filter.resourceId = fields.string("resourceId", length: 1...255)
        filter.errorCode = fields.string("errorCode", length: lengths)
        filter.text = fields.string("text", length: 1...255)
        filter.requestedBy = fields.string("requestedBy", length: 1...255)
        filter.createdAfter = fields.date("createdAfter")
        filter.createdBefore = fields.date("createdBefore")
        filter.finishedAfter = fields.date("finishedAfter")
        filter.finishedBefore = fields.date("finishedBefore")
        filter.ids = fields.strings("ids", count: 1...1000, length: 1...19).flatMap { ids(of: $0, &fields) }
        return filter
    }

    private static func states(of names: [String], _ fields: inout Fields) -> [JobState]? {
        let states = names.compactMap(JobState.init(rawValue:))
        guard states.count == names.count else {
            let known = JobState.allCases.map(\.rawValue).joined(separator: ", ")
            fields.refuse("state", .choice, "must be one or several of \(known)")
            return nil
        }
        return states
    }

    private static func ids(of texts: [String], _ fields: inout Fields) -> [JobNumber]? {
        let ids = texts.compactMap { Int64($0) }.filter { $0 > 0 }
        guard ids.count == texts.count else {
            fields.refuse("ids", .format, "must be numbers of jobs, as strings")
            return nil
        }
        return ids.map(JobNumber.init)
    }

    private static func split(_ text: String) -> [String] { text.split(separator: ",").map(String.init) }

    private static func some<Element>(_ elements: [Element]) -> [Element]? { elements.isEmpty ? nil : elements }
}

extension JSONBody {
    /// What every change by an operator may say: why, and whether work that protects others is meant too.
    func decision() throws(APIError) -> Decision {
        var fields = fields
        let decision = Decision(force: fields.bool("force") ?? false, reason: fields.string("reason", length: 1...500))
        try fields.check()
        return decision
    }
}

/// How an operator means a change.
struct Decision: Sendable {
    /// Also work that protects others.
    let force: Bool
    let reason: String?
}
