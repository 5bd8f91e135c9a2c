import HTTPTypes
import Testing

@testable import API

@Suite("Prefer")
struct PreferTests {
    @Test(
        "wait is found wherever RFC 7240 allows it",
        arguments: [
            ("wait=10", 10), ("respond-async, wait=10", 10), ("WAIT = \"5\"", 5), ("wait=7; foo=bar", 7), ("wait=0", 0),
            ("wait=31", 30), ("wait=999999999", 30), ("a=b;c=d , wait=3", 3), ("wait=4, wait=9", 4), ("\twait=6 ", 6),
        ] as [(String, Int)])
    func found(_ field: String, _ seconds: Int) {
        #expect(Prefer([.prefer: field]).wait == seconds)
    }

    @Test(
        "what cannot be read counts as not sent",
        arguments: [
            "", "wait", "wait=", "wait=-1", "wait=1.5", "wait=abc", "waiting=3", "wait=99999999999999999999",
            "foo=\"wait=3\"",
        ])
    func ignored(_ field: String) {
        #expect(Prefer([.prefer: field]).wait == nil)
        #expect(Prefer([.prefer: field]).applied == nil)
    }

    @Test("several fields are one list")
    func several() {
        var fields = HTTPFields()
        fields.append(HTTPField(name: .prefer, value: "respond-async"))
        fields.append(HTTPField(name: .prefer, value: "wait=12"))
        #expect(Prefer(fields).wait == 12)
        #expect(Prefer(fields).applied == "wait=12")
    }
}
