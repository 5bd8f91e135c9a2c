/// A type of PostgreSQL by its object id. Ids below 10000 are the same in every database.
package struct PostgresType: Sendable, Hashable, RawRepresentable {
    /// The object id.
    package let rawValue: UInt32

    /// The type with that object id.
    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    init(_ rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Leaves it to the server to infer the type.
    static let unspecified = PostgresType(0)
    static let bool = PostgresType(16)
    static let bytea = PostgresType(17)
    static let char = PostgresType(18)
    static let name = PostgresType(19)
    static let int8 = PostgresType(20)
    static let int2 = PostgresType(21)
    static let int4 = PostgresType(23)
    static let text = PostgresType(25)
    static let oid = PostgresType(26)
    static let json = PostgresType(114)
    static let xml = PostgresType(142)
    static let float4 = PostgresType(700)
    static let float8 = PostgresType(701)
    static let unknown = PostgresType(705)
    static let inet = PostgresType(869)
    static let cidr = PostgresType(650)
    static let bpchar = PostgresType(1042)
    static let varchar = PostgresType(1043)
    static let date = PostgresType(1082)
    static let timestamp = PostgresType(1114)
    static let timestamptz = PostgresType(1184)
    static let numeric = PostgresType(1700)
    static let uuid = PostgresType(2950)
    static let jsonb = PostgresType(3802)

    static let boolArray = PostgresType(1000)
    static let byteaArray = PostgresType(1001)
    static let int2Array = PostgresType(1005)
    static let int4Array = PostgresType(1007)
    static let textArray = PostgresType(1009)
    static let int8Array = PostgresType(1016)
    static let float4Array = PostgresType(1021)
    static let float8Array = PostgresType(1022)
    static let timestamptzArray = PostgresType(1185)
    static let numericArray = PostgresType(1231)
    static let uuidArray = PostgresType(2951)
    static let jsonbArray = PostgresType(3807)
    static let varcharArray = PostgresType(1015)
    static let bpcharArray = PostgresType(1014)
    static let nameArray = PostgresType(1003)
    static let jsonArray = PostgresType(199)
    static let dateArray = PostgresType(1182)
    static let timestampArray = PostgresType(1115)
    static let oidArray = PostgresType(1028)
    static let inetArray = PostgresType(1041)

    /// Whether this is one of PostgreSQL's own arrays that have an element type known here.
    var isArray: Bool {
        switch self {
        case .boolArray, .byteaArray, .int2Array, .int4Array, .textArray, .int8Array, .float4Array, .float8Array,
            .timestamptzArray, .numericArray, .uuidArray, .jsonbArray, .varcharArray, .bpcharArray, .nameArray,
            .jsonArray, .dateArray, .timestampArray, .oidArray, .inetArray:
            true
        default: false
        }
    }

    /// Whether the id was given out in this database: an enum or an extension's type.
    var isUserDefined: Bool { rawValue >= 16_384 }
}

extension PostgresType: CustomStringConvertible {
    /// The name in SQL where it is a common type, else `type` and the object id.
    package var description: String {
        switch self {
        case .unspecified: "unspecified"
        case .bool: "bool"
        case .bytea: "bytea"
        case .char: "\"char\""
        case .name: "name"
        case .int8: "int8"
        case .int2: "int2"
        case .int4: "int4"
        case .text: "text"
        case .oid: "oid"
        case .json: "json"
        case .xml: "xml"
        case .float4: "float4"
        case .float8: "float8"
        case .unknown: "unknown"
        case .inet: "inet"
        case .cidr: "cidr"
        case .bpchar: "bpchar"
        case .varchar: "varchar"
        case .date: "date"
        case .timestamp: "timestamp"
        case .timestamptz: "timestamptz"
        case .numeric: "numeric"
        case .uuid: "uuid"
        case .jsonb: "jsonb"
        case .boolArray: "bool[]"
        case .byteaArray: "bytea[]"
        case .int2Array: "int2[]"
        case .int4Array: "int4[]"
        case .textArray: "text[]"
        case .int8Array: "int8[]"
        case .float4Array: "float4[]"
        case .float8Array: "float8[]"
        case .timestamptzArray: "timestamptz[]"
        case .numericArray: "numeric[]"
        case .uuidArray: "uuid[]"
        case .jsonbArray: "jsonb[]"
        default: "type \(rawValue)"
        }
    }
}
