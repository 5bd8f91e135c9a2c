import Foundation
import Shared

/// Reads query parameters and collects everything that is wrong with them, as `Fields` does for bodies.
struct QueryFields {
    private let parameters: QueryParameters
    private(set) var problems: [FieldProblem] = []

    init(_ parameters: QueryParameters) {
        self.parameters = parameters
    }

    /// Throws 400 with every fault found so far.
    func check() throws(APIError) {
        guard problems.isEmpty else { throw APIError.validation(problems) }
    }

    mutating func refuse(_ name: String, _ code: FieldProblem.Code, _ message: String) {
        problems.append(FieldProblem(field: name, message: message, code: code))
    }

    /// Text of at most `limit` characters; an empty one counts as not sent.
    mutating func string(_ name: String, limit: Int = 255) -> String? {
        guard let text = parameters[name], !text.isEmpty else { return nil }
        guard text.count <= limit else {
            refuse(name, .length, "must not be longer than \(limit) characters")
            return nil
        }
        return text
    }

    mutating func int(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let text = string(name) else { return nil }
        guard let number = Int(text) else {
            refuse(name, .type, "must be a whole number")
            return nil
        }
        guard range.contains(number) else {
            refuse(name, .range, "must be from \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    mutating func bool(_ name: String) -> Bool? {
        guard let text = string(name) else { return nil }
        switch text {
        case "true", "1": return true
        case "false", "0": return false
        default:
            refuse(name, .type, "must be true or false")
            return nil
        }
    }

    mutating func uuid(_ name: String) -> UUID? {
        guard let text = string(name) else { return nil }
        guard let id = UUID(uuidString: text) else {
            refuse(name, .format, "must be a UUID")
            return nil
        }
        return id
    }

    /// A moment as RFC 3339.
    mutating func date(_ name: String) -> Date? {
        guard let text = string(name, limit: 40) else { return nil }
        guard let date = ISO8601.date(from: text) else {
            refuse(name, .format, "must be a date and time such as 2026-01-31T09:05:07Z")
            return nil
        }
        return date
    }

    /// Each once.
    mutating func uuids(_ name: String, count: Int = 100) -> [UUID] {
        let texts = strings(name, limit: 36, count: count)
        let ids = texts.compactMap { UUID(uuidString: $0) }
        guard ids.count == texts.count else {
            refuse(name, .format, "must be UUIDs")
            return []
        }
        return Array(Set(ids))
    }

    mutating func strings(_ name: String, limit: Int = 255, count: Int = 100) -> [String] {
        let texts = parameters.all(name).filter { !$0.isEmpty }
        guard texts.count <= count, texts.allSatisfy({ $0.count <= limit }) else {
            refuse(name, .length, "must have at most \(count) values of at most \(limit) characters")
            return []
        }
        return texts
    }

    /// One of some texts; the refusal lists them.
    mutating func choice(_ name: String, of known: [String]) -> String? {
        guard let text = string(name) else { return nil }
        guard known.contains(text) else {
            refuse(name, .choice, "must be one of \(known.joined(separator: ", "))")
            return nil
        }
        return text
    }

    /// One of the raw values of an enumeration, or several.
    mutating func choices<Choice: RawRepresentable & CaseIterable>(
        _ name: String, of type: Choice.Type
    ) -> [Choice] where Choice.RawValue == String {
        var choices: [Choice] = []
        for text in parameters.all(name).flatMap({ $0.split(separator: ",").map(String.init) }) {
            guard let choice = Choice(rawValue: text) else {
                let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
                refuse(name, .choice, "must be one of \(known)")
                return []
            }
            choices.append(choice)
        }
        return choices
    }

    /// A page of a list.
    mutating func page(maxLimit: Int = 100, defaultLimit: Int = 20) -> PageRequest {
        // The bound on `page` keeps the offset far from overflowing.
        let number = int("page", in: 1...1_000_000) ?? 1
        let limit = int("limit", in: 1...maxLimit) ?? defaultLimit
        return PageRequest(number: number, size: limit)
    }
}
