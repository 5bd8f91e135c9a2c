import Foundation
import Shared
import Testing

@Suite struct JSONValueTests {
    static let sample: JSONValue = [
        "null": nil, "bool": true, "int": 7, "double": 1.5, "string": "a\"b\\c\n\u{1}/ü",
        "array": [1, "x", nil], "object": ["k": [:]],
    ]

    @Test func survivesTheCoders() throws {
        let data = try JSON.encoder.encode(Self.sample)
        #expect(try JSON.decoder.decode(JSONValue.self, from: data) == Self.sample)
    }

    @Test func encodedStringIsJSON() throws {
        let text = Self.sample.encodedString()
        #expect(try JSON.decoder.decode(JSONValue.self, from: Data(text.utf8)) == Self.sample)
        #expect(
            text
                == #"{"array":[1,"x",null],"bool":true,"double":1.5,"int":7,"null":null,"object":{"k":{}},"#
                + #""string":"a\"b\\c\n\u0001/ü"}"#)
    }

    @Test func numbersKeepTheirKind() throws {
        let text = "[0, -1, 9223372036854775807, 9223372036854775808, 0.1, 1e3]"
        let value = try JSON.decoder.decode(JSONValue.self, from: Data(text.utf8))
        #expect(value[0] == 0)
        #expect(value[2] == .int(.max))
        #expect(value[3]?.intValue == nil)
        #expect(value[3]?.doubleValue == 9_223_372_036_854_775_808)
        #expect(value[4]?.doubleValue == 0.1)
        #expect(value[5]?.intValue == 1000)
        #expect(JSONValue.double(.nan).encodedString() == "null")
    }

    @Test func readsMembers() {
        #expect(Self.sample["string"]?.stringValue?.hasPrefix("a") == true)
        #expect(Self.sample["array"]?[1] == "x")
        #expect(Self.sample["array"]?[3] == nil)
        #expect(Self.sample["none"] == nil)
        #expect(Self.sample["null"]?.isNull == true)
        #expect(Self.sample["bool"]?.boolValue == true)
        #expect(Self.sample["int"]?.doubleValue == 7)
        #expect(Self.sample["object"]?.objectValue?.count == 1)
        #expect(Self.sample["array"]?.arrayValue?.count == 3)
    }

    @Test func refusesBrokenJSON() {
        #expect(throws: DecodingError.self) { try JSON.decoder.decode(JSONValue.self, from: Data("{\"a\":".utf8)) }
    }
}
