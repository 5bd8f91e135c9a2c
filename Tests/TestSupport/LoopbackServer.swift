import Foundation
import Glibc
import Synchronization

/// A TCP server on 127.0.0.1 that does to each connection whatever the test says: raw bytes, no HTTP of its own.
///
/// The handler runs on a thread per connection and may block. `stop` ends everything that blocks.
package final class LoopbackServer: Sendable {
    /// The port it listens on.
    package let port: Int
    private let listener: Int32
    private let state = Mutex(State())

    private struct State {
        var accepted = 0
        var isStopped = false
        /// Whether the listening descriptor is gone, its number perhaps somebody else's by now.
        var isListenerClosed = false
        var open: [ObjectIdentifier: LoopbackConnection] = [:]
    }

    /// Starts to listen and to accept.
    /// - Parameter handler: called for each connection, which is closed when it returns.
    package init(_ handler: @escaping @Sendable (LoopbackConnection) -> Void) throws {
        (listener, port) = try listenOnLoopback(backlog: 256)
        let thread = Thread { [self] in acceptLoop(handler) }
        thread.start()
    }

    /// Connections accepted so far.
    package var acceptedCount: Int { state.withLock { $0.accepted } }

    /// `http://127.0.0.1:port` and a path.
    package func url(_ path: String = "/") -> String { "http://127.0.0.1:\(port)\(path)" }

    /// Refuses further connections; those that are there stay.
    package func stopListening() {
        state.withLock { if !$0.isListenerClosed { _ = shutdown(listener, Int32(SHUT_RDWR)) } }
    }

    /// Stops listening and hangs up on everybody.
    package func stop() {
        let open = state.withLock { state -> [LoopbackConnection]? in
            guard !state.isStopped else { return nil }
            state.isStopped = true
            return Array(state.open.values)
        }
        guard let open else { return }
        stopListening()
        for connection in open { connection.hangUp() }
    }

    private func acceptLoop(_ handler: @escaping @Sendable (LoopbackConnection) -> Void) {
        while true {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { break }
            let connection = LoopbackConnection(descriptor)
            let isRefused = state.withLock { state in
                state.accepted += 1
                if !state.isStopped { state.open[ObjectIdentifier(connection)] = connection }
                return state.isStopped
            }
            if isRefused {
                connection.close()
                continue
            }
            let thread = Thread { [self] in
                handler(connection)
                state.withLock { $0.open[ObjectIdentifier(connection)] = nil }
                connection.close()
            }
            thread.start()
        }
        state.withLock { state in
            state.isListenerClosed = true
            _ = Glibc.close(listener)
        }
    }
}

/// One accepted connection.
package final class LoopbackConnection: Sendable {
    private struct State {
        var buffer: [UInt8] = []
        var isClosed = false
    }

    private let descriptor: Int32
    private let state = Mutex(State())

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// The next complete request (header and as much body as `content-length` says); nil when the peer hung up.
    package func readRequest() -> LoopbackRequest? {
        var bytes = state.withLock { $0.buffer }
        while true {
            if let (request, rest) = LoopbackRequest.parse(bytes) {
                state.withLock { $0.buffer = rest }
                return request
            }
            guard let more = readSome() else { return nil }
            bytes += more
        }
    }

    /// Sends bytes as they are. False when the peer is gone.
    @discardableResult
    package func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Sends bytes as they are. False when the peer is gone.
    @discardableResult
    package func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// Sends a complete answer.
    @discardableResult
    package func respond(_ status: Int = 200, _ body: String = "", headers: [String] = []) -> Bool {
        let lines = ["HTTP/1.1 \(status) Status", "content-length: \(body.utf8.count)"] + headers
        return send(lines.joined(separator: "\r\n") + "\r\n\r\n" + body)
    }

    /// Blocks until the peer hangs up or the server stops.
    package func waitForHangUp() {
        while readSome() != nil {}
    }

    /// Answers every request until the peer hangs up.
    package func serve(_ answer: (LoopbackRequest) -> Void) {
        while let request = readRequest() { answer(request) }
    }

    /// Closes at once with a reset instead of an orderly end.
    package func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        _ = unsafe setsockopt(
            descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        close()
    }

    func hangUp() {
        state.withLock { if !$0.isClosed { _ = shutdown(descriptor, Int32(SHUT_RDWR)) } }
    }

    /// Closes; safe to repeat.
    package func close() {
        state.withLock { state in
            guard !state.isClosed else { return }
            state.isClosed = true
            _ = Glibc.close(descriptor)
        }
    }

    private func readSome() -> [UInt8]? {
        var chunk = [UInt8](repeating: 0, count: 16_384)
        let count = unsafe chunk.withUnsafeMutableBytes { unsafe recv(descriptor, $0.baseAddress, $0.count, 0) }
        return count > 0 ? Array(chunk.prefix(count)) : nil
    }
}

/// A request as it came over the wire.
package struct LoopbackRequest: Sendable {
    /// `GET`, ...
    package let method: String
    /// The request target: a path, or a whole URL when we are taken for a proxy.
    package let target: String
    /// Names in lower case.
    package let headers: [String: String]
    /// The body.
    package let body: [UInt8]

    static func parse(_ bytes: [UInt8]) -> (LoopbackRequest, rest: [UInt8])? {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        let start = (lines.first ?? "").split(separator: " ").map(String.init)
        guard start.count == 3 else { return nil }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard let name = parts.first else { continue }
            headers[name.lowercased()] = parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
        }
        let length = headers["content-length"].flatMap(Int.init) ?? 0
        let rest = bytes[end.upperBound...]
        guard rest.count >= length else { return nil }
        let request = LoopbackRequest(
            method: start[0], target: start[1], headers: headers, body: Array(rest.prefix(length)))
        return (request, Array(rest.dropFirst(length)))
    }
}

/// A listening socket on a free port of 127.0.0.1 that nobody accepts from.
/// - Returns: its descriptor, to be closed by the caller, and its port.
package func listenOnLoopback(backlog: Int32) throws -> (descriptor: Int32, port: Int) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw POSIXError(.EMFILE) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
            unsafe bind(descriptor, generic, length) == 0 && listen(descriptor, backlog) == 0
                && getsockname(descriptor, generic, &length) == 0
        }
    }
    guard isBound else {
        _ = close(descriptor)
        throw POSIXError(.EADDRINUSE)
    }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
}
