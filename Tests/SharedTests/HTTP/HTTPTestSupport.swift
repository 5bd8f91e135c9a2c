import Foundation
import Logging
import Shared
import Testing

/// A transport that says nothing.
func transport(_ settings: HTTPSettings = HTTPSettings(metrics: false)) -> CurlTransport {
    CurlTransport(settings: settings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
}

/// The failure of a request that must fail.
func failure(of request: HTTPClientRequest, _ transport: CurlTransport? = nil) async throws -> HTTPTransportError {
    let transport = transport ?? SharedTests.transport()
    return try await #require(throws: HTTPTransportError.self) { try await transport.send(request) }
}

/// Waits until the condition holds, at most 20 s.
func waitUntil(_ condition: @Sendable () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while try await !condition() {
        try #require(ContinuousClock.now < deadline, "the condition never held")
        await Task.yield()
    }
}

/// Lets threads go on only in groups of `count`: the proof that so many are there at the same time.
///
/// `@unchecked Sendable`: everything mutable is read and written under the condition's lock.
final class Barrier: @unchecked Sendable {
    private let count: Int
    private let condition = NSCondition()
    private var arrived = 0
    private var generation = 0

    init(_ count: Int) { self.count = count }

    /// Blocks until `count` threads are here, at most 20 s.
    func arriveAndWait() {
        condition.withLock {
            arrived += 1
            if arrived == count {
                arrived = 0
                generation += 1
                condition.broadcast()
                return
            }
            let mine = generation
            let limit = Date(timeIntervalSinceNow: 20)
            while generation == mine, condition.wait(until: limit) {}
        }
    }
}
