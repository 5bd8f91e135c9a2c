import Shared
import Testing

@Suite struct TraceContextTests {
    @Test func readsAndWritesTheHeader() throws {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let trace = try #require(TraceContext(traceparent: header))
        #expect(trace.traceId == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(trace.spanId == "00f067aa0ba902b7")
        #expect(trace.isSampled)
        #expect(trace.traceparent == header)
    }

    @Test func acceptsLaterVersionsWithMoreFields() {
        let trace = TraceContext(traceparent: "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-extra")
        #expect(trace?.isSampled == false)
    }

    @Test(arguments: [
        "", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
    ])
    func refusesMalformed(header: String) {
        #expect(TraceContext(traceparent: header) == nil)
    }

    @Test func newOnesDifferAndChildrenStayInTheTrace() {
        let first = TraceContext()
        let second = TraceContext()
        #expect(first.traceId != second.traceId)
        #expect(TraceContext(traceparent: first.traceparent) == first)
        #expect(first.child().traceId == first.traceId)
        #expect(first.child().spanId != first.spanId)
    }
}
