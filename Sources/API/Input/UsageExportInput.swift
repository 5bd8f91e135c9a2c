import Foundation
import Hummingbird
import Shared

extension QueryFields {
    /// One format of a file; `otherwise` when none is named.
    mutating func exportFormat(otherwise usual: UsageExportRequest.Format) -> UsageExportRequest.Format {
        let formats = choices("format", of: UsageExportRequest.Format.self)
        if formats.count > 1 { refuse("format", .choice, "must be csv or json") }
        return formats.first ?? usual
    }
}

extension Fields {
    /// A day that nothing speaks against; check the fields afterwards.
    mutating func day(_ name: String) -> UTCDay? {
        guard let text = string(name, length: 1...40) else { return nil }
        guard let day = UTCDay(text) ?? ISO8601.date(from: text).map(UTCDay.init(containing:)) else {
            refuse(name, .format, "must be a day such as 2026-01-31")
            return nil
        }
        guard day >= DateRange.earliest else {
            refuse(name, .range, "must not be before \(DateRange.earliest)")
            return nil
        }
        return day
    }

    /// Several UUIDs.
    mutating func uuids(_ name: String, count: Int) -> [UUID] {
        let texts = strings(name, count: 0...count, length: 1...36) ?? []
        let ids = texts.compactMap { UUID(uuidString: $0) }
        if ids.count != texts.count { refuse(name, .format, "must be UUIDs") }
        return ids
    }

    /// What an administrator's file of usage is about, but for the names of keys, which have to be looked up; check the
    /// fields afterwards.
    mutating func adminExport(longest: Int, today: UTCDay) -> (request: UsageExportRequest, aliases: [String]) {
        for name in ["startDate", "endDate"] where !has(name) { refuse(name, .required, "is required") }
        let from = day("startDate") ?? today
        let to = day("endDate") ?? today
        if problems.isEmpty {
            if from > to { refuse("startDate", .range, "must not be after endDate") }
            // Somewhere it is tomorrow already.
            if to > today.next { refuse("endDate", .range, "must not be in the future") }
            if from.advanced(by: longest) <= to {
                refuse("endDate", .range, "must be at most \(longest) days from startDate")
            }
        }
        let format = string("format", length: 1...10)
        if let format, UsageExportRequest.Format(rawValue: format) == nil {
            refuse("format", .choice, "must be csv or json")
        }
        var request = UsageExportRequest(
            scope: .admin, format: format.flatMap(UsageExportRequest.Format.init) ?? .csv, from: from, to: to)
        request.userIds = uuids("userIds", count: 100)
        request.modelIds = strings("modelIds", count: 0...100, length: 1...255) ?? []
        request.providers = strings("providerIds", count: 0...100, length: 1...255) ?? []
        return (request, strings("apiKeyIds", count: 0...100, length: 1...255) ?? [])
    }
}
