import Foundation
import Shared
import Testing

@testable import API

@Suite("JSON bodies")
struct JSONParserTests {
    @Test(
        "valid documents are read",
        arguments: [
            ("{}", JSONValue.object([:])), (" [ ] ", .array([])), ("null", .null), ("true", .bool(true)),
            ("-0", .int(0)), ("12", .int(12)), ("-12.5", .double(-12.5)), ("1e3", .double(1000)),
            ("9223372036854775807", .int(.max)), ("9223372036854775808", .double(9_223_372_036_854_775_808)),
            (#""a\"\\\/\b\f\n\r\t""#, .string("a\"\\/\u{8}\u{c}\n\r\t")), (#""\u00e9\ud83d\ude00""#, .string("é😀")),
            (#"{"a":[1,{"b":null}],"a2":"x"}"#, ["a": [1, ["b": nil]], "a2": "x"]),
            (#"{"a":1,"a":2}"#, ["a": 2]), ("\u{20}\t\r\n1", .int(1)),
        ] as [(String, JSONValue)])
    func valid(_ text: String, _ expected: JSONValue) throws {
        #expect(try JSONParser.parse(Array(text.utf8)) == expected)
    }

    @Test(
        "anything else is refused with its place",
        arguments: [
            ("", 0), ("{", 1), ("{]", 1), ("[1,]", 3), ("[1 2]", 3), ("{\"a\"1}", 4), ("{a:1}", 1), ("01", 2),
            ("1.", 2),
            ("1e", 2), ("-", 1), ("tru", 0), ("nul", 0), ("\"a", 2), ("\"\u{1}\"", 1), (#""\x""#, 3), (#""\u12""#, 3),
            (#""\ud800""#, 7), (#""\ud800\u0041""#, 13), (#""\udc00""#, 7), (#""\u0000""#, 7), ("1 2", 2), ("'a'", 0),
            ("NaN", 0), ("1e999", 0), ("+1", 0), ("//", 0),
        ] as [(String, Int)])
    func invalid(_ text: String, _ offset: Int) {
        let error = #expect(throws: JSONSyntaxError.self) { try JSONParser.parse(Array(text.utf8)) }
        #expect(error?.offset == offset, "\(text): \(error?.reason ?? "")")
    }

    @Test("bytes that are not UTF-8 are refused")
    func encoding() {
        #expect(throws: JSONSyntaxError.self) { try JSONParser.parse([0x22, 0xff, 0xfe, 0x22]) }
        #expect(throws: JSONSyntaxError.self) { try JSONParser.parse([0x22, 0xc0, 0x80, 0x22]) }
    }

    @Test("depth is bounded")
    func depth() throws {
        let deep = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
        #expect(throws: JSONSyntaxError.self) { try JSONParser.parse(Array(deep.utf8)) }
        let fine = String(repeating: "[", count: 32) + String(repeating: "]", count: 32)
        _ = try JSONParser.parse(Array(fine.utf8))
    }

    @Test("it agrees with the coder on what the coder writes")
    func roundTrip() throws {
        let value: JSONValue = [
            "text": "a\"b\\c/é😀\n", "numbers": [0, -1, 1.5, 1e20], "nested": ["a": [true, false, nil]], "": "",
        ]
        #expect(try JSONParser.parse(Array(value.encodedString().utf8)) == value)
        #expect(try JSONParser.parse(Array(try JSON.encoder.encode(value))) == value)
    }
}

@Suite("JSON answers")
struct JSONWriterTests {
    private struct Sample: JSONRepresentable {
        func write(to json: inout JSONWriter) {
            json.object { json in
                json.member("text", "a\"b\\\n\u{1}é")
                json.member("absent", String?.none)
                json.member("int", -3)
                json.member("double", 1.5)
                json.member("infinite", Double.infinity)
                json.member("decimal", Decimal(string: "0.000000123"))
                json.member("yes", true)
                json.member("date", Date(timeIntervalSince1970: 0))
                json.member("list", ["a", "b"])
                json.member("empty", [String]())
                json.member("value", JSONValue.object(["b": 1, "a": nil]))
                json.nullMember("nothing")
                json.member("inner") { json in json.member("x", 1) }
                json.name("objects")
                json.array(0..<2) { json, number in json.object { $0.member("n", number) } }
            }
        }
    }

    @Test("members come in order, what is nil is left out, everything is valid JSON")
    func sample() throws {
        let text = String(decoding: JSONWriter.bytes(of: Sample()), as: UTF8.self)
        #expect(
            text
                == #"{"text":"a\"b\\\n\u0001é","int":-3,"double":1.5,"infinite":null,"decimal":0.000000123,"yes":true,"#
                + #""date":"1970-01-01T00:00:00.000Z","list":["a","b"],"empty":[],"value":{"a":null,"b":1},"#
                + #""nothing":null,"inner":{"x":1},"objects":[{"n":0},{"n":1}]}"#)
        _ = try JSONParser.parse(Array(text.utf8))
    }
}
