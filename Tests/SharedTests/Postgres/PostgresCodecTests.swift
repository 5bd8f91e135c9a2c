import Foundation
import Shared
import TestSupport
import Testing

@Suite(.needsDatabase) struct PostgresCodecTests {
    /// Sends each value and reads it back as the same type.
    private func roundTrips<T: PostgresEncodable & PostgresDecodable & Equatable>(
        _ values: [T], as type: PostgresFragment, _ client: PostgresClient,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        for value in values {
            let back = try await client.query("select \(value)::\(type)").one(T.self)
            #expect(back == value, sourceLocation: sourceLocation)
        }
        let none = try await client.query("select \(T?.none)::\(type)").one(T?.self)
        #expect(none == nil, sourceLocation: sourceLocation)
    }

    @Test func numbersRoundTrip() async throws {
        try await withEmptyTestDatabase { db in
            try await roundTrips([0, 1, -1, .max, .min], as: "int8", db.client)
            try await roundTrips([Int64.max, .min, 7], as: "int8", db.client)
            try await roundTrips([Int32.max, .min, 0], as: "int4", db.client)
            try await roundTrips([Int16.max, .min, 0], as: "int2", db.client)
            try await roundTrips([true, false], as: "bool", db.client)
            try await roundTrips(
                [0, -0.5, .pi, .greatestFiniteMagnitude, .leastNonzeroMagnitude, .infinity, -.infinity],
                as: "float8", db.client)
            #expect(try await db.client.value("select \(Double.nan)", as: Double.self).isNaN)
            #expect(try await db.client.value("select 1.5::float4", as: Double.self) == 1.5)
            let (two, four) = try await db.client.query("select 3::int2, 4::int4").one(Int.self, Int64.self)
            #expect(two == 3 && four == 4)
            #expect(try await db.client.value("select 2147483648::oid", as: Int.self) == 2_147_483_648)
            let (eight, narrow) = try await db.client.query("select 12::int8, 13::int4").one(Int16.self, Int32.self)
            #expect(eight == 12 && narrow == 13)
        }
    }

    @Test func textAndBytesRoundTrip() async throws {
        try await withEmptyTestDatabase { db in
            let texts = ["", "a", "ünïcödé 🦆", "quote ' \" \\ \n\t", String(repeating: "x", count: 100_000)]
            try await roundTrips(texts, as: "text", db.client)
            try await roundTrips(["ab "], as: "char(3)", db.client)
            try await roundTrips(["name"], as: "name", db.client)
            try await roundTrips([[UInt8](), [0], [UInt8](0...255)], as: "bytea", db.client)
            try await roundTrips([Data(), Data([0, 255])], as: "bytea", db.client)
            #expect(
                try await db.client.query("select 'x'::varchar(3), 'y'").one(String.self, String.self) == ("x", "y"))
        }
    }

    @Test func stringsTakeTheTypeOfTheirPlace() async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.query("create type mood as enum ('sad', 'glad')")
            try await db.client.query(
                "create table t (u uuid, j jsonb, i inet, m mood, d date, n numeric, c cidr, x json)")
            let uuid = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
            try await db.client.query(
                """
                insert into t values (\(uuid), \("{\"b\": [1, null]}"), \("10.0.0.1"), \("glad"), \("2024-02-29"),
                                      \("12.50"), \("10.0.0.0/8"), \("[1]"))
                """)
            let row = try #require(try await db.client.query("select * from t").first)
            #expect(try row.get("u") == uuid)
            #expect(try row.get("u") == UUID(uuidString: uuid))
            #expect(try row.get("j") == "{\"b\": [1, null]}")
            #expect(try row.get("j") == JSONValue.object(["b": [1, nil]]))
            #expect(try row.get("j", as: Data.self) == Data("{\"b\": [1, null]}".utf8))
            #expect(try row.get("j") == PostgresJSON("{\"b\": [1, null]}"))
            #expect(try row.get("x") == JSONValue.array([1]))
            #expect(try row.get("i") == "10.0.0.1")
            #expect(try row.get("c") == "10.0.0.0/8")
            #expect(try row.get("m") == "glad")
            #expect(try row.get("m") == Mood.glad)
            #expect(try row.get("d") == "2024-02-29")
            #expect(try row.get("n") == "12.50")
            let moods = try await db.client.value("select array['sad', 'glad']::mood[]", as: [String].self)
            #expect(moods == ["sad", "glad"])
        }
    }

    @Test func addressesAsPostgresPrintsThem() async throws {
        try await withEmptyTestDatabase { db in
            for address in ["192.168.1.0/24", "::1", "2001:db8::1/64", "fe80::", "0.0.0.0/0", "255.255.255.255"] {
                let shown = try await db.client.value("select \(address)::inet", as: String.self)
                #expect(shown == address)
            }
        }
    }

    @Test func timesRoundTripToTheMicrosecond() async throws {
        try await withEmptyTestDatabase { db in
            let texts = [
                "2000-01-01 00:00:00+00", "1999-12-31 23:59:59.999999+00", "2024-02-29 12:34:56.123456+00",
                "1900-01-01 00:00:00+00", "0001-01-01 00:00:00+00", "9999-12-31 23:59:59+00",
            ]
            for text in texts {
                let query: PostgresQuery = "select \(text)::timestamptz"
                let date = try await db.client.query(query).one(Date.self)
                let isSame = try await db.client.value("select \(date) = \(text)::timestamptz", as: Bool.self)
                #expect(isSame, "\(text)")
            }
            let date = Date(timeIntervalSince1970: 1_700_000_000.25)
            #expect(try await db.client.value("select \(date)", as: Date.self) == date)
            let plain = try await db.client.value("select timestamp '2024-01-02 03:04:05'", as: Date.self)
            #expect(plain == Date(timeIntervalSince1970: 1_704_164_645))
            for day in ["2024-02-29", "2000-01-01", "1969-12-31", "0001-01-01", "9999-12-31", "1600-03-01", "infinity"]
            {
                #expect(try await db.client.value("select \(day)::date", as: String.self) == day)
            }
            let ancient = try await db.client.value("select date '0044-03-15 BC'", as: String.self)
            #expect(ancient == "0044-03-15 BC")
            let error = try await postgresError {
                try await db.client.value("select 'infinity'::timestamptz as t", as: Date.self)
            }
            #expect(error.code == .decode)
            #expect(error.column == "t")
        }
    }

    @Test func numericIsExact() async throws {
        try await withEmptyTestDatabase { db in
            let texts = [
                "0", "1", "-1", "0.00000001", "-0.1", "10000", "9999.9999", "100000000",
                "12345678901234567890.123456789",
                "99999999999999999999999999999999999999", "0.10", "10000.0001", "-1000000000000",
            ]
            for text in texts {
                let row = try #require(try await db.client.query("select \(text)::numeric as n").first)
                #expect(try row.get("n", as: String.self) == text)
                #expect(try row.get("n") == Decimal(string: text))
                #expect(try row.get("n") == Double(text))
                let decimal = try #require(Decimal(string: text))
                #expect(try await db.client.value("select \(decimal) = \(text)::numeric", as: Bool.self))
            }
            #expect(try await db.client.value("select 'NaN'::numeric", as: Double.self).isNaN)
            #expect(try await db.client.value("select 42::int4", as: Decimal.self) == 42)
            for text in ["NaN", "Infinity", "-Infinity", "1.000000000000000000000000000000000000000001"] {
                let error = try await postgresError {
                    try await db.client.value("select \(text)::numeric as n", as: Decimal.self)
                }
                #expect(error.code == .decode)
                #expect(error.column == "n")
            }
        }
    }

    @Test func jsonRoundTrips() async throws {
        try await withEmptyTestDatabase { db in
            let values: [JSONValue] = [
                .null, true, 1, 1.5, "text", [], [1, [nil]], [:], ["a": ["b": "c\u{1}\n\"\\"], "z": 12_345_678_901],
            ]
            for value in values {
                let back = try await db.client.value("select \(value)", as: JSONValue.self)
                #expect(back == value)
            }
            let document = PostgresJSON("{\"a\": 1}")
            #expect(try await db.client.value("select \(document)->>'a'", as: String.self) == "1")
            #expect(try await db.client.value("select \(document)", as: PostgresJSON.self) == document)
        }
    }

    @Test func arraysRoundTrip() async throws {
        try await withEmptyTestDatabase { db in
            try await roundTrips([[], [1], [Int64.min, 0, .max]], as: "int8[]", db.client)
            try await roundTrips([[1, nil, 3], [nil]], as: "int8[]", db.client)
            try await roundTrips([[], [Int32.min, 7]], as: "int4[]", db.client)
            try await roundTrips([[Int16.min, 7], []], as: "int2[]", db.client)
            try await roundTrips([[true, false], []], as: "bool[]", db.client)
            try await roundTrips([[0.5, -.infinity], []], as: "float8[]", db.client)
            try await roundTrips([["", "a,b", "{\"", "NULL", "ü"], []], as: "text[]", db.client)
            try await roundTrips([["a", nil, ""]], as: "text[]", db.client)
            try await roundTrips([[UUID(), UUID()], []], as: "uuid[]", db.client)
            try await roundTrips([[Date(timeIntervalSince1970: 1.5), nil]], as: "timestamptz[]", db.client)
            try await roundTrips([[.null, ["a": 1]], [JSONValue]()], as: "jsonb[]", db.client)
            try await roundTrips([[[0, 1], []], [[UInt8]]()], as: "bytea[]", db.client)
            try await roundTrips([(0..<5000).map { Int64($0) }], as: "int8[]", db.client)
            #expect(try await db.client.value("select array['a']::varchar[]", as: [String].self) == ["a"])
            #expect(try await db.client.value("select '{}'::int8[]", as: [Int].self) == [])
            #expect(try await db.client.value("select \(["1", "2"])::numeric[]", as: [Double].self) == [1, 2])
            let count = try await db.client.query(
                "select count(*) from unnest(\([1, 2, 3]), \(["a", nil, "c"])) as t(a, b) where b is not null")
            #expect(try count.one(Int.self) == 2)
            let deep = try await postgresError {
                try await db.client.value("select array[[1, 2], [3, 4]] as a", as: [Int].self)
            }
            #expect(deep.code == .decode)
        }
    }

    @Test func wrongTypesNameColumnAndType() async throws {
        try await withEmptyTestDatabase { db in
            let rows = try await db.client.query(
                "select 'x'::text as name, 1::int8 as big, null::int4 as none, 70000 as wide, array[1] as list")
            let row = try #require(rows.first)
            let cases: [(PostgresError, column: String, type: String)] = [
                (try await postgresError { try row.get("name", as: Int.self) }, "name", "text"),
                (try await postgresError { try row.get("name", as: UUID.self) }, "name", "text"),
                (try await postgresError { try row.get("name", as: [String].self) }, "name", "text"),
                (try await postgresError { try row.get("big", as: String.self) }, "big", "int8"),
                (try await postgresError { try row.get("big", as: Bool.self) }, "big", "int8"),
                (try await postgresError { try row.get("big", as: Date.self) }, "big", "int8"),
                (try await postgresError { try row.get("big", as: JSONValue.self) }, "big", "int8"),
                (try await postgresError { try row.get("big", as: [UInt8].self) }, "big", "int8"),
                (try await postgresError { try row.get("big", as: [Int].self) }, "big", "int8"),
                (try await postgresError { try row.get("none", as: Int.self) }, "none", "NULL"),
                (try await postgresError { try row.get("wide", as: Int16.self) }, "wide", "int4"),
                (try await postgresError { try row.get("list", as: Int.self) }, "list", "int4[]"),
                (try await postgresError { try row.get("list", as: [String].self) }, "list", "int4"),
                (try await postgresError { try row.decode(Int.self) }, "name", "text"),
            ]
            for (error, column, type) in cases {
                #expect(error.code == .decode)
                #expect(error.column == column)
                #expect(error.message.contains(column) && error.message.contains(type), "\(error.message)")
            }
            #expect(try await postgresError { try row.get("absent", as: Int.self) }.column == "absent")
            let tooMany = try await postgresError {
                try row.decode(String.self, Int.self, Int?.self, Int.self, [Int].self, Int.self)
            }
            #expect(tooMany.message.contains("column 6"))
            let mood = try await postgresError { try await db.client.value("select 'angry'", as: Mood.self) }
            #expect(mood.code == .decode)
            #expect(!mood.description.contains("angry"))
            #expect(
                try await postgresError { try await db.client.value("select 1 where false", as: Int.self) }.code
                    == .decode)
        }
    }

    @Test func whatCannotBeSentFailsBeforeItIsSent() async throws {
        try await withEmptyTestDatabase { db in
            let queries: [PostgresQuery] = [
                "select \("a\0b")", "select \(["a\0b"])", "select \(Date.distantPast - 1e13)",
                "select \(Date(timeIntervalSince1970: .nan))",
            ]
            for query in queries {
                let error = try await postgresError { try await db.client.query(query) }
                #expect(error.code == .encode)
            }
            #expect(try await db.client.value("select 1", as: Int.self) == 1)
        }
    }
}

private enum Mood: String, PostgresDecodable {
    case sad, glad
}
