import Foundation
import Shared
import Synchronization
import Testing

@testable import Jobs
@testable import Shared

/// How the server makes its plans.
enum PlanMode: String, CaseIterable, Sendable {
    /// As the engine's own connections do.
    case engine
    /// As other connections do for the first executions of a statement: with its values.
    case custom
    /// As they do later: without them.
    case generic

    var settings: [String: String] {
        switch self {
        case .engine: JobEngine.plannerSettings
        case .custom: ["plan_cache_mode": "force_custom_plan"]
        case .generic: ["plan_cache_mode": "force_generic_plan"]
        }
    }
}

/// What EXPLAIN (ANALYZE, BUFFERS) said of one statement.
struct ExplainedPlan: Sendable {
    struct Node: Sendable {
        var type: String
        var relation: String?
        var index: String?
        /// Whether it looks rows up in its index instead of walking all of it.
        var isLookup = false
    }

    var sql: String
    var nodes: [Node] = []
    /// Pages read, from memory or from disk, in all.
    var buffers = 0
    /// Pages read by the part that looks for rows, without what changes them.
    var searchBuffers = 0
    /// Rows that the statement changed or returned.
    var rows = 0

    init(sql: String, json: JSONValue) {
        self.sql = sql
        guard let plan = json[0]?["Plan"] else { return }
        buffers = Self.buffers(plan)
        rows = plan["Actual Rows"]?.intValue ?? 0
        collect(plan, isBelowChange: false)
    }

    private mutating func collect(_ plan: JSONValue, isBelowChange: Bool) {
        let type = plan["Node Type"]?.stringValue ?? ""
        nodes.append(
            Node(
                type: type, relation: plan["Relation Name"]?.stringValue, index: plan["Index Name"]?.stringValue,
                isLookup: plan["Index Cond"] != nil))
        if isBelowChange { searchBuffers = max(searchBuffers, Self.buffers(plan)) }
        for child in plan["Plans"]?.arrayValue ?? [] {
            collect(child, isBelowChange: isBelowChange || type == "ModifyTable")
        }
    }

    private static func buffers(_ plan: JSONValue) -> Int {
        ["Shared Hit Blocks", "Shared Read Blocks"].reduce(0) { $0 + (plan[$1]?.intValue ?? 0) }
    }

    /// Tables that are read from end to end.
    var scanned: Set<String> {
        Set(nodes.filter { $0.type == "Seq Scan" }.compactMap(\.relation))
    }
}

/// Runs statements on a transaction and explains each of them before.
final class Explainer: PostgresExecutor {
    private let transaction: PostgresTransaction
    private let collected = Mutex<[ExplainedPlan]>([])

    init(_ transaction: PostgresTransaction) { self.transaction = transaction }

    var plans: [ExplainedPlan] { collected.withLock { $0 } }

    @discardableResult
    func query(_ query: PostgresQuery) async throws -> PostgresRows {
        try await explain(query)
        return try await transaction.query(query)
    }

    @discardableResult
    func pipeline(_ queries: [PostgresQuery]) async throws -> [PostgresRows] {
        var results: [PostgresRows] = []
        for query in queries { results.append(try await self.query(query)) }
        return results
    }

    /// EXECUTE is the way to a generic plan of this server version; it takes its values as constants only.
    private func explain(_ query: PostgresQuery) async throws {
        let types = query.parameters.list.map { $0.type == .unspecified ? "unknown" : Self.name(of: $0.type) }
        let values = query.parameters.literals
        let declared = types.isEmpty ? "" : "(\(types.joined(separator: ", ")))"
        let arguments = values.isEmpty ? "" : "(\(values.joined(separator: ", ")))"
        try await transaction.query("savepoint explained")
        try await transaction.query(PostgresQuery(trusted: "prepare explained\(declared) as \(query.sql)"))
        let rows = try await transaction.query(
            PostgresQuery(trusted: "explain (analyze, buffers, format json) execute explained\(arguments)"))
        let json = try JSON.decoder.decode(JSONValue.self, from: Data(try rows.one(String.self).utf8))
        try await transaction.query("rollback to savepoint explained")
        try await transaction.query("deallocate explained")
        collected.withLock { $0.append(ExplainedPlan(sql: query.sql, json: json)) }
    }

    private static func name(of type: PostgresType) -> String {
        switch type {
        case .bool: "bool"
        case .int2: "int2"
        case .int4: "int4"
        case .int8: "int8"
        case .float8: "float8"
        case .text: "text"
        case .uuid: "uuid"
        case .timestamptz: "timestamptz"
        case .jsonb: "jsonb"
        case .boolArray: "bool[]"
        case .int2Array: "int2[]"
        case .int4Array: "int4[]"
        case .int8Array: "int8[]"
        case .float8Array: "float8[]"
        case .textArray: "text[]"
        default: "unknown"
        }
    }
}

extension PostgresParameters {
    /// The values as SQL constants.
    fileprivate var literals: [String] {
        list.map { parameter in
            guard parameter.length >= 0 else { return "null" }
            let bytes = buffer[parameter.offset..<parameter.offset + parameter.length]
            if parameter.isText { return PostgresQuoting.literal(String(decoding: bytes, as: UTF8.self)) }
            return PostgresQuoting.literal(Self.text(Array(bytes), parameter.type))
        }
    }

    private static func text(_ bytes: [UInt8], _ type: PostgresType) -> String {
        switch type {
        case .bool: return bytes.first == 1 ? "t" : "f"
        case .int2: return String(Int16(truncatingIfNeeded: integer(bytes)))
        case .int4: return String(Int32(truncatingIfNeeded: integer(bytes)))
        case .int8: return String(integer(bytes))
        case .float8: return String(Double(bitPattern: UInt64(bitPattern: integer(bytes))))
        case .timestamptz:
            let date = Date(timeIntervalSinceReferenceDate: Double(integer(bytes)) / 1_000_000 - 31_622_400)
            return date.ISO8601Format(.init(includingFractionalSeconds: true))
        case .uuid:
            let hex = bytes.map { String(format: "%02x", $0) }.joined()
            return hex
        case .boolArray, .int2Array, .int4Array, .int8Array, .float8Array, .textArray: return array(bytes)
        default: return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// The server's binary form: dimensions, flags, the elements' type; the length and lower bound of the dimension;
    /// then each element after its length.
    private static func array(_ bytes: [UInt8]) -> String {
        guard integer(Array(bytes[0..<4])) == 1 else { return "{}" }
        let type = PostgresType(UInt32(truncatingIfNeeded: integer(Array(bytes[8..<12]))))
        let count = Int(integer(Array(bytes[12..<16])))
        var at = 20
        let elements = (0..<count).map { _ -> String in
            let length = Int(Int32(truncatingIfNeeded: integer(Array(bytes[at..<at + 4]))))
            at += 4
            guard length >= 0 else { return "NULL" }
            defer { at += length }
            let element = text(Array(bytes[at..<at + length]), type)
            return "\"" + element.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        }
        return "{" + elements.joined(separator: ",") + "}"
    }

    private static func integer(_ bytes: [UInt8]) -> Int64 {
        let unsigned = bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let shift = 64 - bytes.count * 8
        return Int64(bitPattern: unsigned << UInt64(shift)) >> Int64(shift)
    }
}
