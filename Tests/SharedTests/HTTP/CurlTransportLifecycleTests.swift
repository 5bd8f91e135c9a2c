import Foundation
import Logging
import Metrics
import ServiceLifecycle
import Shared
import Synchronization
import TestSupport
import Testing

@Suite("libcurl transport: cancellation, shutdown and metrics", .hangGuard)
struct CurlTransportLifecycleTests {
    @Test("cancelling the task ends a request under way")
    func cancel() async throws {
        let hungUp = Mutex(false)
        let server = try LoopbackServer { connection in
            _ = connection.readRequest()
            connection.waitForHangUp()
            hungUp.withLock { $0 = true }
        }
        defer { server.stop() }
        let transport = transport()
        let task = Task { try await transport.send(HTTPClientRequest(url: server.url())) }
        try await waitUntil { server.acceptedCount == 1 }
        task.cancel()
        let error = try await #require(throws: HTTPTransportError.self) { try await task.value }
        #expect(error.code == .cancelled)
        try await waitUntil { hungUp.withLock { $0 } }
    }

    @Test("cancelling the task ends a request that waits, without sending it")
    func cancelWaiting() async throws {
        let server = try LoopbackServer { connection in connection.waitForHangUp() }
        defer { server.stop() }
        let transport = transport(HTTPSettings(maxConnectionsPerHost: 1, metrics: false))
        let occupier = Task { try await transport.send(HTTPClientRequest(url: server.url())) }
        try await waitUntil { server.acceptedCount == 1 }
        let waiter = Task { try await transport.send(HTTPClientRequest(url: server.url())) }
        waiter.cancel()
        let error = try await #require(throws: HTTPTransportError.self) { try await waiter.value }
        #expect(error.code == .cancelled)
        #expect(!error.requestMayHaveReachedServer)
        occupier.cancel()
        _ = await occupier.result
        #expect(server.acceptedCount == 1)
    }

    @Test("a task cancelled beforehand sends nothing")
    func cancelledBefore() async throws {
        let server = try LoopbackServer { connection in connection.serve { _ in connection.respond() } }
        defer { server.stop() }
        let transport = transport()
        let gate = AsyncStream<Void>.makeStream()
        let task = Task {
            for await _ in gate.stream {}
            return try await transport.send(HTTPClientRequest(url: server.url()))
        }
        task.cancel()
        gate.continuation.finish()
        let error = try await #require(throws: HTTPTransportError.self) { try await task.value }
        #expect(error.code == .cancelled)
        #expect(!error.requestMayHaveReachedServer)
        #expect(server.acceptedCount == 0)
    }

    @Test("however cancellation and answer race, each request ends exactly once")
    func cancelRace() async throws {
        let server = try LoopbackServer { connection in connection.serve { _ in connection.respond(200, "ok") } }
        defer { server.stop() }
        let transport = transport(HTTPSettings(maxConnectionsPerHost: 8, metrics: false))
        let (answered, cancelled) = try await withThrowingTaskGroup(of: Bool.self) { group in
            for index in 0..<400 {
                group.addTask {
                    let task = Task { try await transport.send(HTTPClientRequest(url: server.url())).status == 200 }
                    for _ in 0..<(index % 40) { await Task.yield() }
                    if index % 4 != 0 { task.cancel() }
                    do {
                        return try await task.value
                    } catch let error as HTTPTransportError where error.code == .cancelled {
                        return false
                    }
                }
            }
            var counts = (0, 0)
            for try await isAnswered in group { if isAnswered { counts.0 += 1 } else { counts.1 += 1 } }
            return counts
        }
        #expect(answered + cancelled == 400)
        #expect(answered >= 100)
        // No place was lost on the way.
        #expect(try await transport.send(HTTPClientRequest(url: server.url())).status == 200)
    }

    @Test("shutdown fails what runs and waits, and refuses what comes later")
    func shutdown() async throws {
        let server = try LoopbackServer { connection in
            _ = connection.readRequest()
            connection.waitForHangUp()
        }
        defer { server.stop() }
        let transport = transport(HTTPSettings(maxConnectionsPerHost: 2, metrics: false))
        let tasks = (0..<4).map { _ in Task { try await transport.send(HTTPClientRequest(url: server.url())) } }
        try await waitUntil { server.acceptedCount == 2 }
        await transport.shutdown()
        await transport.shutdown()
        for task in tasks {
            let error = try await #require(throws: HTTPTransportError.self) { try await task.value }
            #expect(error.code == .closed)
        }
        let late = try await failure(of: HTTPClientRequest(url: server.url()), transport)
        #expect(late.code == .closed)
        #expect(!late.requestMayHaveReachedServer)
    }

    @Test("as a service it ends with the group's graceful shutdown")
    func service() async throws {
        let server = try LoopbackServer { connection in
            _ = connection.readRequest()
            connection.waitForHangUp()
        }
        defer { server.stop() }
        let transport = transport()
        let group = ServiceGroup(
            configuration: .init(services: [.init(service: transport)], logger: Logger(label: "test")))
        let running = Task { try await group.run() }
        let request = Task { try await transport.send(HTTPClientRequest(url: server.url())) }
        try await waitUntil { server.acceptedCount == 1 }
        await group.triggerGracefulShutdown()
        try await running.value
        let error = try await #require(throws: HTTPTransportError.self) { try await request.value }
        #expect(error.code == .closed)
    }

    @Test("its thread ends when it is shut down, and when nobody holds it any more")
    func thread() async throws {
        await #expect(processExitsWith: .success) {
            let server = try LoopbackServer { connection in connection.serve { _ in connection.respond() } }
            for isShutDown in [true, false] {
                do {
                    let transport = transport()
                    #expect(try await transport.send(HTTPClientRequest(url: server.url())).status == 200)
                    #expect(try curlThreads() == 1)
                    if isShutDown { await transport.shutdown() }
                }
                try await waitUntil { try curlThreads() == 0 }
            }
            server.stop()
        }
    }

    @Test("counts and times requests by outcome")
    func metrics() async throws {
        let server = try LoopbackServer { connection in
            connection.serve { request in
                if request.target == "/cut" { connection.close() } else { connection.respond(404) }
            }
        }
        defer { server.stop() }
        let recorder = MetricsRecorder()
        let transport = withMetricsFactory(recorder) { SharedTests.transport(HTTPSettings()) }
        for _ in 0..<2 { _ = try await transport.send(HTTPClientRequest(url: server.url())) }
        _ = try await failure(of: HTTPClientRequest(url: server.url("/cut")), transport)
        let duration = "litemaas_http_client_request_duration_seconds"
        #expect(recorder.count("\(duration){outcome=4xx}") == 2)
        #expect(recorder.count("\(duration){outcome=aborted}") == 1)
        #expect(recorder.count("litemaas_http_client_connections_opened_total{}") == 1)
    }
}

/// Threads of this process that run a libcurl loop.
private func curlThreads() throws -> Int {
    let tasks = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")
    return tasks.count { task in
        // A thread may end in between.
        (try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8)) == "curl\n"
    }
}

/// Counts what is recorded, by name and dimensions.
private final class MetricsRecorder: MetricsFactory {
    private let counts = Mutex<[String: Int]>([:])

    func count(_ name: String) -> Int { counts.withLock { $0[name, default: 0] } }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        handler(label, dimensions)
    }
    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        handler(label, dimensions)
    }
    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { handler(label, dimensions) }
    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}

    private func handler(_ label: String, _ dimensions: [(String, String)]) -> Handler {
        let labels = dimensions.map { "\($0.0)=\($0.1)" }.joined(separator: ",")
        return Handler { count in self.counts.withLock { $0["\(label){\(labels)}", default: 0] += count } }
    }

    private final class Handler: CounterHandler, RecorderHandler, TimerHandler {
        private let add: @Sendable (Int) -> Void

        init(_ add: @escaping @Sendable (Int) -> Void) { self.add = add }

        func increment(by amount: Int64) { add(Int(amount)) }
        func reset() {}
        func record(_ value: Int64) { add(1) }
        func record(_ value: Double) { add(1) }
        func recordNanoseconds(_ duration: Int64) { add(1) }
    }
}
