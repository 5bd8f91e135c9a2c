import Testing

@testable import Shared

@Suite("Admission of requests")
struct RequestAdmissionTests {
    @Test("at most so many per host and altogether, the rest in order")
    func order() {
        var admission = RequestAdmission(perHost: 2, total: 3, maxWaiting: 10)
        #expect(admission.request(id: 1, origin: "a") == .start)
        #expect(admission.request(id: 2, origin: "a") == .start)
        #expect(admission.request(id: 3, origin: "a") == .wait)
        #expect(admission.request(id: 4, origin: "b") == .start)
        #expect(admission.request(id: 5, origin: "b") == .wait)
        #expect(admission.request(id: 6, origin: "a") == .wait)
        // "a" is full, so the place that "b" gives back goes past 3 to 5.
        #expect(admission.release(origin: "b") == [5])
        #expect(admission.release(origin: "a") == [3])
        #expect(admission.release(origin: "b") == [])
        #expect(admission.release(origin: "a") == [6])
        #expect(admission.activeCount == 2)
        #expect(admission.waitingCount == 0)
    }

    @Test("one place given back starts one request")
    func onePlace() {
        var admission = RequestAdmission(perHost: 1, total: 5, maxWaiting: 10)
        #expect(admission.request(id: 1, origin: "a") == .start)
        for id in 2...4 as ClosedRange<UInt64> { #expect(admission.request(id: id, origin: "a") == .wait) }
        for id in 2...4 as ClosedRange<UInt64> { #expect(admission.release(origin: "a") == [id]) }
        #expect(admission.release(origin: "a") == [])
        #expect(admission.activeCount == 0)
        #expect(admission.request(id: 9, origin: "a") == .start)
    }

    @Test("a request that gives up waiting is passed over")
    func withdrawal() {
        var admission = RequestAdmission(perHost: 1, total: 1, maxWaiting: 2)
        #expect(admission.request(id: 1, origin: "a") == .start)
        #expect(admission.request(id: 2, origin: "a") == .wait)
        #expect(admission.request(id: 3, origin: "a") == .wait)
        #expect(admission.request(id: 4, origin: "a") == .refuse)
        admission.withdraw(id: 2)
        #expect(admission.request(id: 5, origin: "b") == .wait)
        #expect(admission.release(origin: "a") == [3])
        #expect(admission.release(origin: "a") == [5])
    }

    @Test("senseless limits still let one request through")
    func floor() {
        var admission = RequestAdmission(perHost: 0, total: -1, maxWaiting: -5)
        #expect(admission.request(id: 1, origin: "a") == .start)
        #expect(admission.request(id: 2, origin: "a") == .refuse)
    }
}

@Suite("Requests as values")
struct HTTPClientRequestTests {
    @Test(
        "the origin is scheme, host and port",
        arguments: [
            ("http://Host:80/x?y#z", "http://host:80"), ("HTTPS://h", "https://h"), ("http://u:p@h:1?q", "http://h:1"),
            ("http://[::1]:5/", "http://[::1]:5"),
        ])
    func origin(url: String, expected: String) {
        #expect(HTTPClientRequest(url: url).origin == expected)
    }

    @Test("what is no absolute URL has none", arguments: ["", "x", "/x", "://h", "http://", "http:///x", "http://u@/"])
    func noOrigin(url: String) {
        #expect(HTTPClientRequest(url: url).origin == nil)
    }

    @Test("a scripted transport gives its answers in order and remembers the requests")
    func scripted() async throws {
        let lost = HTTPTransportError(.aborted, requestMayHaveReachedServer: true, message: "lost")
        let transport = ScriptedTransport(outcomes: [.success(.json(201, "{}")), .failure(lost)])
        #expect(try await transport.send(HTTPClientRequest(url: "http://h/a%20b?c=d%26e")).status == 201)
        await #expect(throws: lost) { try await transport.send(HTTPClientRequest(url: "http://h/2")) }
        let beyond = await #expect(throws: HTTPTransportError.self) {
            try await transport.send(HTTPClientRequest(url: "http://h/3"))
        }
        #expect(beyond?.code == .connect(refused: true))
        #expect(transport.requests.map(\.path) == ["/a%20b", "/2", "/3"])
        #expect(transport.requests.first?.query == ["c": "d&e"])
    }
}
