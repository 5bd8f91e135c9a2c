import Foundation
import Hummingbird
import Shared

/// A resource that is a report of the operators' side, as its JSON.
struct Report: ResourceBody {
    private let members: [String: JSONValue]

    init(_ report: some Encodable) throws {
        members = try JSON.decoder.decode([String: JSONValue].self, from: JSON.encoder.encode(report))
    }

    func writeMembers(to json: inout JSONWriter) {
        for (name, value) in members.sorted(by: { $0.key < $1.key }) { json.member(name, value) }
    }
}

/// Reports under one name, as lists are answered.
struct ReportList<Item: Encodable & Sendable>: Encodable, Sendable {
    let data: [Item]
}

/// A page of reports.
struct ReportPage<Item: Encodable & Sendable>: Encodable, Sendable {
    struct Pagination: Encodable, Sendable {
        let page: Int
        let limit: Int
        let total: Int
        let totalPages: Int
    }

    let data: [Item]
    let pagination: Pagination

    init(_ items: [Item], _ page: PageRequest, total: Int) {
        data = items
        pagination = Pagination(
            page: page.number, limit: page.size, total: total, totalPages: (total + page.size - 1) / page.size)
    }
}

extension Response {
    /// An answer that is a report of the operators' side.
    static func report(_ report: some Encodable) throws -> Response {
        .json(bytes: Array(try JSON.encoder.encode(report)))
    }
}
