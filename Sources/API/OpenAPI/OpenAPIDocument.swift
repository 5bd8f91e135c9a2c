import Foundation
import Shared
import Yams

/// The description of this API: written by hand in `openapi.yaml`, served as JSON, and held against the route table
/// by a test in both directions.
struct OpenAPIDocument: Sendable {
    /// The document as served.
    let json: [UInt8]
    let document: JSONValue

    /// Reads the document that is shipped with the program. Throws `OpenAPIError` when it is missing or broken.
    static func load() throws -> OpenAPIDocument {
        guard let url = Bundle.module.url(forResource: "openapi", withExtension: "yaml") else {
            throw OpenAPIError(message: "openapi.yaml is not among the program's resources; build the program again")
        }
        return try OpenAPIDocument(yaml: try String(contentsOf: url, encoding: .utf8))
    }

    init(yaml: String) throws {
        guard let node = try Yams.compose(yaml: yaml) else { throw OpenAPIError(message: "openapi.yaml is empty") }
        document = try Self.value(of: node)
        json = Array(document.encodedString().utf8)
    }

    private static func value(of node: Node) throws -> JSONValue {
        switch node {
        case .mapping(let mapping):
            var members: [String: JSONValue] = [:]
            for (key, value) in mapping {
                guard let name = key.string else { throw OpenAPIError(message: "a key in openapi.yaml is no string") }
                members[name] = try self.value(of: value)
            }
            return .object(members)
        case .sequence(let sequence): return .array(try sequence.map(value(of:)))
        case .scalar(let scalar):
            // Quoted text is text, whatever it looks like.
            guard scalar.style == .plain || scalar.style == .any else { return .string(scalar.string) }
            return node.null.map { _ in .null } ?? node.bool.map(JSONValue.bool) ?? node.int.map(JSONValue.int)
                ?? node.float.map(JSONValue.double) ?? .string(scalar.string)
        case .alias: throw OpenAPIError(message: "openapi.yaml uses an alias, which is not supported")
        }
    }
}

/// The description of the API cannot be used.
struct OpenAPIError: Error, CustomStringConvertible {
    let message: String

    var description: String { message }
}
