import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import API

@Suite("Connection limits")
struct ConnectionLimitTests {
    /// A connection with a clock that tests turn.
    private struct Connection {
        let channel = EmbeddedChannel()

        init(_ change: (inout ConnectionLimits) -> Void = { _ in }) throws {
            var limits = ConnectionLimits()
            change(&limits)
            try channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            try channel.pipeline.syncOperations.configureHTTPServerPipeline(withPipeliningAssistance: false)
            try channel.pipeline.syncOperations.addHandler(ConnectionGuard(limits))
        }

        var isOpen: Bool { channel.isActive }

        func send(_ text: String) throws {
            try channel.writeInbound(ByteBuffer(string: text))
        }

        func pass(_ seconds: Int64) {
            channel.embeddedEventLoop.advanceTime(by: .seconds(seconds))
        }
    }

    @Test("a head that trickles in is given ten seconds from its first byte")
    func slowHead() throws {
        let connection = try Connection()
        connection.pass(50)
        #expect(connection.isOpen)
        for byte in ["G", "E", "T", " ", "/"] {
            try connection.send(byte)
            connection.pass(1)
        }
        connection.pass(4)
        #expect(connection.isOpen)
        connection.pass(1)
        #expect(!connection.isOpen)
    }

    @Test("a body that trickles in is given thirty seconds from its head")
    func slowBody() throws {
        let connection = try Connection()
        try connection.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n")
        for _ in 0..<29 {
            try connection.send("x")
            connection.pass(1)
        }
        #expect(connection.isOpen)
        connection.pass(1)
        #expect(!connection.isOpen)
    }

    @Test("requests that arrive whole are never cut off, nor is what comes after them measured from their start")
    func fastRequests() throws {
        let connection = try Connection()
        for _ in 0..<20 {
            try connection.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab")
            connection.pass(7)
            #expect(connection.isOpen)
        }
        try connection.send("GET /")
        connection.pass(9)
        #expect(connection.isOpen)
        connection.pass(1)
        #expect(!connection.isOpen)
    }

    @Test("a long answer to a request that is there is waited for")
    func slowAnswer() throws {
        let connection = try Connection()
        try connection.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        connection.pass(3600)
        #expect(connection.isOpen)
    }

    @Test("a client that does not read its answer is given a minute")
    func slowReader() throws {
        let connection = try Connection()
        connection.channel.isWritable = false
        connection.channel.pipeline.fireChannelWritabilityChanged()
        connection.pass(59)
        connection.channel.isWritable = true
        connection.channel.pipeline.fireChannelWritabilityChanged()
        connection.pass(3600)
        #expect(connection.isOpen)
        connection.channel.isWritable = false
        connection.channel.pipeline.fireChannelWritabilityChanged()
        connection.pass(60)
        #expect(!connection.isOpen)
    }

    @Test("a body without an end is cut off, and a new request begins to count anew")
    func endlessBody() throws {
        let connection = try Connection { $0.bodyBytes = 10 }
        for _ in 0..<3 { try connection.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n0123456789") }
        #expect(connection.isOpen)
        try connection.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nA\r\n0123456789\r\n")
        #expect(connection.isOpen)
        // The decoder complains that the body has no end.
        #expect(throws: HTTPParserError.self) { try connection.send("1\r\nx\r\n") }
        #expect(!connection.isOpen)
    }
}
