import Shared

@testable import API

/// Holds answers against the schemas of the API's description.
struct DocumentedShape {
    private let document: JSONValue

    init() throws { document = try OpenAPIDocument.load().document }

    /// What is wrong with a value that should have the schema of this name; empty when nothing is.
    func problems(of value: JSONValue?, as schema: String) -> [String] {
        guard let value else { return ["nothing to compare with \(schema)"] }
        return problems(value, ["$ref": .string("#/components/schemas/\(schema)")], at: schema)
    }

    private func resolve(_ schema: JSONValue) -> JSONValue {
        guard let target = schema["$ref"]?.stringValue else { return schema }
        let found = target.split(separator: "/").dropFirst().reduce(document as JSONValue?) { $0?[String($1)] }
        return resolve(found ?? .null)
    }

    private func problems(_ value: JSONValue, _ schema: JSONValue, at path: String) -> [String] {
        let schema = resolve(schema)
        if let elements = value.arrayValue {
            guard let items = schema["items"] else { return ["\(path) is an array"] }
            return elements.flatMap { problems($0, items, at: "\(path)[]") }
        }
        if let members = value.objectValue { return problems(members, schema, at: path) }
        if let choices = schema["enum"]?.arrayValue, !choices.contains(value) { return ["\(path) is \(value)"] }
        if let constant = schema["const"], constant != value { return ["\(path) is \(value)"] }
        switch schema["type"]?.stringValue {
        case "string": return value.stringValue == nil ? ["\(path) is no string"] : []
        case "integer": return value.intValue == nil ? ["\(path) is no integer"] : []
        case "number": return value.doubleValue == nil ? ["\(path) is no number"] : []
        case "boolean": return value.boolValue == nil ? ["\(path) is no boolean"] : []
        case "object", "array": return ["\(path) is \(value)"]
        default: return []
        }
    }

    private func problems(_ members: [String: JSONValue], _ schema: JSONValue, at path: String) -> [String] {
        let (properties, required, others) = parts(of: schema)
        // A schema that says nothing of members leaves them free.
        guard !properties.isEmpty || others != nil else { return [] }
        var found = required.filter { members[$0] == nil }.map { "\(path).\($0) lacks" }
        for (name, value) in members {
            if let property = properties[name] ?? others {
                found += problems(value, property, at: "\(path).\(name)")
            } else {
                found.append("\(path).\(name) is not documented")
            }
        }
        return found
    }

    private func parts(
        of schema: JSONValue
    ) -> (properties: [String: JSONValue], required: Set<String>, others: JSONValue?) {
        var properties = schema["properties"]?.objectValue ?? [:]
        var required = Set(schema["required"]?.arrayValue?.compactMap(\.stringValue) ?? [])
        var others = schema["additionalProperties"]
        for part in schema["allOf"]?.arrayValue ?? [] {
            let inner = parts(of: resolve(part))
            properties.merge(inner.properties) { first, _ in first }
            required.formUnion(inner.required)
            others = others ?? inner.others
        }
        return (properties, required, others)
    }
}
