/// The members a request body may have. Unknown ones are ignored, as LiteLLM does.
struct Schema: Sendable {
    enum Kind: Sendable { case text, number, whole, flag, object, list, texts, anything }

    struct Field: Sendable {
        let name: String
        let kind: Kind
        var required = false
    }

    let fields: [Field]

    init(_ fields: [Field]) { self.fields = fields }

    init(_ fields: KeyValuePairs<String, Kind>, required: Set<String> = []) {
        self.fields = fields.map { Field(name: $0.key, kind: $0.value, required: required.contains($0.key)) }
    }

    /// This schema with the fields of `other` behind its own.
    func and(_ other: Schema) -> Schema { Schema(fields + other.fields) }

    /// The known members of `body`, numbers in the field's own kind; members sent as null stay in.
    ///
    /// - Throws: a 422 naming every member that is missing or of the wrong type.
    func read(_ body: JSONObject) throws(Refusal) -> JSONObject {
        var known: JSONObject = [:]
        var violations: [Violation] = []
        for field in fields {
            guard let value = body[field.name] else {
                if field.required { violations.append(.missing("body", .string(field.name))) }
                continue
            }
            switch Self.read(value, as: field.kind) {
            case .success(let value): known[field.name] = value
            case .failure(let mistake):
                violations.append(
                    Violation(type: mistake.type, location: ["body", .string(field.name)], message: mistake.message))
            }
        }
        guard violations.isEmpty else { throw .invalid(violations) }
        return known
    }

    private struct Mistake: Error {
        let type: String
        let message: String
    }

    private static func read(_ value: JSON, as kind: Kind) -> Result<JSON, Mistake> {
        if value.isNull { return .success(value) }
        switch kind {
        case .anything: return .success(value)
        case .text: return accept(value, value.string != nil, "string_type", "Input should be a valid string")
        case .object: return accept(value, value.members != nil, "dict_type", "Input should be a valid dictionary")
        case .list: return accept(value, value.elements != nil, "list_type", "Input should be a valid list")
        case .texts:
            let good = value.elements?.allSatisfy { $0.string != nil } ?? false
            return accept(value, good, "list_type", "Input should be a valid list")
        case .number:
            if let number = value.number ?? value.string.flatMap(Double.init) { return .success(.double(number)) }
            return .failure(
                value.string == nil
                    ? Mistake(type: "float_type", message: "Input should be a valid number")
                    : Mistake(
                        type: "float_parsing",
                        message: "Input should be a valid number, unable to parse string as a number"))
        case .whole: return whole(value)
        case .flag:
            if value.boolean != nil { return .success(value) }
            return .failure(
                Mistake(
                    type: "bool_parsing",
                    message: "Input should be a valid boolean, unable to interpret input"))
        }
    }

    private static func accept(
        _ value: JSON, _ good: Bool, _ type: String, _ message: String
    ) -> Result<JSON, Mistake> {
        good ? .success(value) : .failure(Mistake(type: type, message: message))
    }

    private static func whole(_ value: JSON) -> Result<JSON, Mistake> {
        if let number = value.wholeNumber ?? value.string.flatMap({ Int($0) }) { return .success(.integer(number)) }
        switch value {
        case .double:
            return .failure(
                Mistake(
                    type: "int_from_float",
                    message: "Input should be a valid integer, got a number with a fractional part"))
        case .string:
            return .failure(
                Mistake(
                    type: "int_parsing",
                    message: "Input should be a valid integer, unable to parse string as an integer"))
        default: return .failure(Mistake(type: "int_type", message: "Input should be a valid integer"))
        }
    }
}
