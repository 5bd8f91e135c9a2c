package import Foundation
import Shared

/// Which jobs an operator means. What is nil does not matter; what is given must all hold.
package struct JobQuery: Codable, Sendable, Equatable {
    /// Kinds such as `key.create`.
    package var kinds: [String]?
    package var states: [JobState]?
    package var queues: [String]?
    package var resourceType: String?
    package var resourceId: String?
    /// The code of the error a job ended with; of an unfinished one, of its last failed attempt.
    package var errorCode: String?
    /// Is looked for, whatever its case, in error messages, parameters, keys, resource and request ids.
    package var text: String?
    /// The id of who asked for the job.
    package var requestedBy: String?
    package var createdAfter: Date?
    package var createdBefore: Date?
    /// Only ended jobs; bounds how far back the history is read.
    package var finishedAfter: Date?
    package var finishedBefore: Date?
    /// True: only failed jobs that a person discarded. False: not those.
    package var discarded: Bool?
    package var ids: [JobNumber]?

    package init() {}

    private enum CodingKeys: String, CodingKey {
        case kinds = "kind"
        case states = "state"
        case queues = "queue"
        case resourceType, resourceId, errorCode, text, requestedBy, createdAfter, createdBefore, finishedAfter
        case finishedBefore, discarded, ids
    }

    /// Whether it means every job there is.
    package var isEmpty: Bool { self == JobQuery() }

    /// Only jobs that failed and wait for a person.
    package static var deadLetters: JobQuery {
        var query = JobQuery()
        query.states = [.failed]
        query.discarded = false
        return query
    }
}

/// How many there are.
package struct CountReport: Codable, Sendable, Equatable {
    package var value: Int
    /// False for an estimate from the planner's statistics.
    package var isExact: Bool

    package init(value: Int, isExact: Bool) {
        self.value = value
        self.isExact = isExact
    }
}

/// A page of jobs, newest first.
package struct JobPage: Codable, Sendable, Equatable {
    /// Where the page stands.
    package struct Pagination: Codable, Sendable, Equatable {
        package var limit: Int
        package var hasNext: Bool
        /// Opaque; asks for the next page with the same query. Nil on the last page.
        package var cursor: String?
        /// All jobs that the query means, on all pages.
        package var total: CountReport
    }

    package var data: [JobReport]
    package var pagination: Pagination
}

/// Where a page ended. Clients get it as a text that they need not understand.
struct JobCursor: Sendable, Equatable {
    private static let prefix = "j1."

    /// The next page has smaller ids.
    let beforeId: Int64

    init(beforeId: Int64) { self.beforeId = beforeId }

    /// - Throws: ``AdministrationError`` for a text that no page gave.
    init(_ text: String) throws {
        let base64 = text.replacing("-", with: "+").replacing("_", with: "/")
        let padded = base64 + String(repeating: "=", count: (4 - base64.count % 4) % 4)
        guard let data = Data(base64Encoded: padded), let plain = String(data: data, encoding: .utf8),
            plain.hasPrefix(Self.prefix), let id = Int64(plain.dropFirst(Self.prefix.count)), id > 0
        else {
            throw AdministrationError.invalid("cursor", "must be the cursor of the page before, unchanged")
        }
        beforeId = id
    }

    var text: String {
        Data("\(Self.prefix)\(beforeId)".utf8).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
