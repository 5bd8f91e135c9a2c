import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Shared

/// A request for many keys, as it was sent: JSON with everything in it, or a file of people with the rest in the query.
struct KeyBatchForm {
    /// What a repetition must send again.
    let bytes: [UInt8]
    let name: String
    let template: KeyBatchTemplate
    /// What stands before the template's members in errors.
    let templatePath: String
    let labels: [String]
    let subscribes: Bool
    let people: KeyBatchRequest.People
}

extension Call {
    /// Reads a request for many keys. Throws `APIError` with every fault of the template, or of the rows.
    func keyBatchForm() async throws -> KeyBatchForm {
        let type = (request.headers[.contentType] ?? "").prefix { $0 != ";" }.lowercased()
            .trimmingCharacters(in: .whitespaces)
        switch type {
        case "text/csv": return try await people { try KeyBatchPeopleInput.csv($0) }
        case "application/x-ndjson", "application/ndjson", "application/jsonl":
            return try await people { try KeyBatchPeopleInput.lines($0) }
        default: return try KeyBatchForm(try await body())
        }
    }

    private func people(_ read: (String) throws -> [KeyBatchRequest.Person]) async throws -> KeyBatchForm {
        let bytes = try await bodyBytes()
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw APIError.validation("body", .format, "must be UTF-8 without NUL")
        }
        var query = try query()
        let members = query.keyBatchMembers()
        try query.check()
        return try KeyBatchForm(
            bytes: Array((request.uri.query ?? "").utf8) + [0x0a] + bytes, members: members, people: try read(text))
    }
}

extension QueryFields {
    /// Models, or labels, that fit into a request's line.
    private static let most = 20

    /// The members of a request for many keys, typed as in JSON; what is no number stays text, and is refused as such.
    fileprivate mutating func keyBatchMembers() -> [String: JSONValue] {
        var members: [String: JSONValue] = [:]
        for name in ["name", "keyName", "budgetDuration", "duration", "expiresAt", "teamId"] {
            members[name] = string(name).map(JSONValue.string)
        }
        for name in ["maxBudget", "softBudget", "tpmLimit", "rpmLimit", "maxParallelRequests"] {
            members[name] = string(name).map { text in
                Int(text).map(JSONValue.int) ?? Double(text).map(JSONValue.double) ?? .string(text)
            }
        }
        for name in ["modelIds", "labels"] {
            let given = strings(name)
            if given.count > Self.most { refuse(name, .length, "takes at most \(Self.most) in the query: send JSON") }
            let texts = given.flatMap { $0.split(separator: ",").map { JSONValue.string(String($0)) } }
            if !texts.isEmpty { members[name] = .array(texts) }
        }
        members["subscribe"] = bool("subscribe").map(JSONValue.bool)
        return members
    }
}

extension KeyBatchForm {
    /// With people of a file.
    fileprivate init(bytes: [UInt8], members: [String: JSONValue], people: [KeyBatchRequest.Person]) throws(APIError) {
        var fields = Fields(members)
        let name = fields.batchName()
        self.init(
            bytes: bytes, name: name, template: fields.template(named: name), templatePath: "",
            labels: fields.labels() ?? [], subscribes: fields.bool("subscribe") ?? true, people: .each(people))
        try fields.check()
    }

    /// All of it in JSON.
    fileprivate init(_ body: JSONBody) throws(APIError) {
        var fields = body.fields
        let name = fields.batchName()
        let template = fields.nested("template") { $0.template(named: name) }
        if template == nil { fields.refuse("template", .required, "must be an object with modelIds") }
        let labels = fields.labels() ?? []
        let subscribes = fields.bool("subscribe") ?? true
        let each = fields.elements("users", count: 1...KeyBatches.limit) { element, index, row in
            KeyBatchPeopleInput.person(element, at: "users[\(index)]", &row)
        }
        let count = fields.int("count", in: 1...KeyBatches.limit)
        let userId = fields.uuid("userId")
        if fields.has("users") == (fields.has("count") || fields.has("userId")) {
            fields.refuse("users", .required, "must name people, unless count and userId say for whom the keys are")
        } else if fields.has("count") != fields.has("userId") {
            fields.refuse(fields.has("count") ? "userId" : "count", .required, "is required beside the other one")
        }
        try fields.check()
        let people: KeyBatchRequest.People =
            if let count, let userId { .one(userId, count: count) } else { .each(each ?? []) }
        self.init(
            bytes: body.bytes, name: name, template: template ?? KeyBatchTemplate(keyName: "", modelIds: []),
            templatePath: "template.", labels: labels, subscribes: subscribes, people: people)
    }
}

extension Fields {
    fileprivate mutating func batchName() -> String { requiredString("name", length: 1...100) }

    /// What every key is to be like; check the fields afterwards.
    fileprivate mutating func template(named batch: String) -> KeyBatchTemplate {
        var template = KeyBatchTemplate(
            keyName: string("keyName", length: 1...200) ?? "\(batch)-{n}",
            modelIds: requiredStrings("modelIds", count: 1...500, length: 1...255))
        template.teamId = uuid("teamId")
        template.maxBudget = budget("maxBudget")
        template.softBudget = budget("softBudget")
        template.budgetDuration = string("budgetDuration", length: 1...20)
        template.tpmLimit = rate("tpmLimit")
        template.rpmLimit = rate("rpmLimit")
        template.maxParallelRequests = int("maxParallelRequests", in: 1...Int(Int32.max))
        template.metadata = object("metadata").map(JSONValue.object)
        (template.expiresAt, template.duration) = end()
        return template
    }

    /// When keys end: one of two ways to say so.
    fileprivate mutating func end() -> (expiresAt: Date?, duration: String?) {
        let (expiresAt, duration) = (date("expiresAt"), string("duration", length: 1...20))
        if has("expiresAt"), has("duration") {
            refuse("duration", .choice, "cannot stand beside expiresAt; leave one of them out")
        }
        return (expiresAt, duration)
    }

    /// When keys are to end from now on. 400 without either way to say so.
    mutating func requiredEnd() throws -> Date? {
        let (expiresAt, duration) = end()
        if !has("expiresAt"), !has("duration") {
            refuse("expiresAt", .required, "is required, or duration, such as 7d")
        }
        return try duration.map { try KeyDuration.end(of: $0, from: Date(), field: "duration") } ?? expiresAt
    }

    /// Labels, each once, sorted; nil when there are none.
    mutating func labels() -> [String]? {
        guard let texts = strings("labels", count: 0...KeyLabels.limit, length: 1...KeyLabels.length) else {
            return nil
        }
        for (index, text) in texts.enumerated() {
            let isPlain = text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
            if !isPlain || text.contains(",") || text != text.trimmingCharacters(in: .whitespaces) {
                refuse("labels[\(index)]", .format, "must have no commas, line breaks or outer spaces")
            }
        }
        return Set(texts).sorted()
    }
}

/// Reads people, row by row.
enum KeyBatchPeopleInput {
    private static let columns: Set<String> = ["id", "username", "email", "fullName"]

    /// Somebody's id, or an object with `id`, or with `username`, `email` and perhaps `fullName`.
    static func person(_ value: JSONValue, at place: String, _ fields: inout Fields) -> KeyBatchRequest.Person? {
        if let text = value.stringValue {
            guard let id = UUID(uuidString: text) else {
                fields.refuse("id", .format, "must be a UUID")
                return nil
            }
            return KeyBatchRequest.Person(.known(id), at: place)
        }
        guard value.objectValue != nil else {
            fields.refuse("id", .type, "must be a user's id, or an object with username and email")
            return nil
        }
        if fields.has("id") { return fields.uuid("id").map { KeyBatchRequest.Person(.known($0), at: place) } }
        let username = fields.requiredString("username", length: 1...255)
        let email = fields.requiredAddress("email")
        let fullName = fields.text("fullName", length: 0...255)
        return KeyBatchRequest.Person(.named(username: username, email: email, fullName: fullName), at: place)
    }

    /// People of CSV whose first row has the columns' names.
    static func csv(_ text: String) throws -> [KeyBatchRequest.Person] {
        let rows: [(number: Int, cells: [String])]
        do throws(CSVError) {
            rows = try CSVReader.rows(text)
        } catch {
            throw APIError.validation("row \(error.row)", .format, error.reason)
        }
        guard let titles = rows.first?.cells.map({ $0.trimmingCharacters(in: .whitespaces) }) else { throw empty }
        if let unknown = titles.first(where: { !columns.contains($0) }) {
            throw APIError.validation(
                "column \(unknown)", .unknown, "is not known; the first row names id, username, email, fullName")
        }
        return try people(
            rows.dropFirst().map { row in
                guard row.cells.count == titles.count else { return (row.number, .null) }
                let members = zip(titles, row.cells).filter { !$0.1.isEmpty }.map { ($0, JSONValue.string($1)) }
                return (row.number, .object(Dictionary(members, uniquingKeysWith: { first, _ in first })))
            })
    }

    /// People of lines, each of them JSON.
    static func lines(_ text: String) throws -> [KeyBatchRequest.Person] {
        var rows: [(Int, JSONValue)] = []
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated()
        where line.contains(where: { !$0.isWhitespace }) {
            do throws(JSONSyntaxError) {
                rows.append((index + 1, try JSONParser.parse(Array(line.utf8))))
            } catch {
                throw APIError.validation("row \(index + 1)", .format, "is not valid JSON: \(error.reason)")
            }
        }
        return try people(rows)
    }

    private static func people(_ rows: [(number: Int, value: JSONValue)]) throws -> [KeyBatchRequest.Person] {
        guard !rows.isEmpty else { throw empty }
        guard rows.count <= KeyBatches.limit else {
            throw APIError.validation("body", .length, "must have at most \(KeyBatches.limit) people")
        }
        var people: [KeyBatchRequest.Person] = []
        var problems: [FieldProblem] = []
        for row in rows where problems.count < Fields.namedLimit {
            var fields = Fields(row.value.objectValue ?? [:], path: "row \(row.number), ")
            if let person = person(row.value, at: "row \(row.number)", &fields) { people.append(person) }
            problems += fields.problems
        }
        guard problems.isEmpty else { throw APIError.validation(problems) }
        return people
    }

    private static var empty: APIError {
        .validation("body", .required, "must have a person in each row, behind a row with the columns' names in CSV")
    }
}
