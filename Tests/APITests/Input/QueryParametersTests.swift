import HTTPTypes
import Shared
import Testing

@testable import API

@Suite("Query parameters")
struct QueryParametersTests {
    @Test(
        "lists come repeated, in brackets, numbered or alone",
        arguments: [
            ("a=1&a=2", ["1", "2"]), ("a[]=1&a[]=2", ["1", "2"]), ("a%5B%5D=1&a%5b1%5d=2", ["1", "2"]), ("a=1", ["1"]),
            ("b=1", []), ("a[0]=x%2Fy&a[1]=p+q", ["x/y", "p q"]), ("a=", [""]), ("a", [""]),
        ] as [(String, [String])])
    func lists(_ query: String, _ expected: [String]) throws {
        #expect(try QueryParameters(query).all("a") == expected)
    }

    @Test("of several values for one name the last counts")
    func last() throws {
        #expect(try QueryParameters("a=1&a=2")["a"] == "2")
        #expect(try QueryParameters(nil)["a"] == nil)
    }

    @Test("names that only look like lists stay as they are")
    func brackets() throws {
        #expect(try QueryParameters("a[b]=1")["a[b]"] == "1")
        #expect(try QueryParameters("[]=1")["[]"] == "1")
    }

    @Test(
        "broken escapes, bytes that are not UTF-8 and NUL are refused",
        arguments: ["a=%", "a=%4", "a=%zz", "a=%ff", "a=%00", "%00=1"])
    func broken(_ query: String) {
        let error = #expect(throws: APIError.self) { try QueryParameters(query) }
        #expect(error?.status == .badRequest)
    }

    @Test("the number of parameters is bounded")
    func bounded() {
        let query = String(repeating: "a=1&", count: 501)
        #expect(throws: APIError.self) { try QueryParameters(query) }
    }

    @Test("everything but unreserved characters is escaped, and comes back")
    func coding() {
        let text = "azAZ09-._~ /?&=+%é😀"
        #expect(PercentCoding.encode("a/b c") == "a%2Fb%20c")
        #expect(PercentCoding.decode(PercentCoding.encode(text)) == text)
        #expect(PercentCoding.decode("a+b") == "a+b")
    }

    @Test("bounds and types are named, all at once")
    func fields() throws {
        var query = QueryFields(try QueryParameters("page=0&limit=abc&flag=maybe&id=7&state=done"))
        _ = query.page()
        _ = query.bool("flag")
        _ = query.uuid("id")
        _ = query.choices("state", of: PermissionSample.self)
        #expect(query.problems.map(\.field) == ["page", "limit", "flag", "id", "state"])
        #expect(query.problems.map(\.code) == [.range, .type, .type, .format, .choice])
        #expect(query.problems[4].message == "must be one of one, two")
        #expect(throws: APIError.self) { try query.check() }
    }

    @Test("a page is what was asked for, within its bounds")
    func page() throws {
        var query = QueryFields(try QueryParameters("page=3&limit=50"))
        let page = query.page()
        #expect(page.number == 3 && page.size == 50 && page.offset == 100)
        var none = QueryFields(try QueryParameters(""))
        #expect(none.page().size == 20)
        try none.check()
    }

    private enum PermissionSample: String, CaseIterable { case one, two }
}
