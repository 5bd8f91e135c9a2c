package import Logging
import ServiceLifecycle
import Synchronization

/// What a listener reports.
package enum PostgresListenerEvent: Sendable, Equatable {
    /// Somebody sent NOTIFY.
    case notification(channel: String, payload: String)
    /// Notifications may have been lost: the connection was (re)made just now, or the reader was too slow. Whoever
    /// relies on them has to look at the tables.
    case mayHaveMissed
}

/// Listens on channels over a connection of its own, for as long as `run()` runs, whatever happens to the connection.
///
/// It connects past any pooler (`PostgresSettings.directURL`), again and again with growing pauses. Every few seconds
/// it sends a notification to itself: one that does not come back means that the connection is dead, a pooler's, or
/// that of a server that is no primary any more, and leads to a new one. A notification is a hint, polling the truth.
package final class PostgresListener: Service {
    private struct State: Sendable {
        var readers: [Int: AsyncStream<PostgresListenerEvent>.Continuation] = [:]
        var lastReader = 0
        var isProven = false
        var isFinished = false
    }

    private enum Signal: Sendable {
        /// The time for a probe has come.
        case probe
        /// A probe came back.
        case echo(Int)
        /// The time in which a probe has to come back is over.
        case deadline(Int)
        /// The connection is gone.
        case ended(PostgresError)
    }

    /// How often and how long things are tried.
    package struct Timing: Sendable {
        /// The pause between two probes.
        package var probeInterval: Duration = .seconds(5)
        /// How long a probe may take.
        package var probeTimeout: Duration = .seconds(5)
        /// The pauses between attempts to connect.
        package var backoff = Backoff(initial: .milliseconds(100), cap: .seconds(5))

        /// A probe every five seconds; attempts to connect at most five seconds apart.
        package init() {}
    }

    private let settings: PostgresSettings
    private let channels: [String]
    private let probeChannel: String
    private let timing: Timing
    private let logger: Logger
    private let state = Mutex(State())

    /// A listener for `channels`; nothing is opened before `run()`.
    package init(settings: PostgresSettings, channels: [String], timing: Timing = Timing(), logger: Logger) {
        self.settings = settings
        self.channels = channels
        self.timing = timing
        self.logger = logger
        probeChannel = "listener_probe_\(UInt64.random(in: .min ... .max))"
    }

    /// Whether notifications are known to arrive: a probe came back on the connection that is in use. While this is
    /// false, readers should poll more often.
    package var isProven: Bool { state.withLock { $0.isProven } }

    /// The events from now on; each reader gets all of them. A reader that falls behind by more than `bufferSize`
    /// events loses the oldest ones and gets `mayHaveMissed` in their place. Ends when `run()` ends.
    package func events(bufferSize: Int = 1024) -> AsyncStream<PostgresListenerEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: PostgresListenerEvent.self, bufferingPolicy: .bufferingNewest(max(bufferSize, 2)))
        let id = state.withLock { state -> Int? in
            guard !state.isFinished else { return nil }
            state.lastReader += 1
            state.readers[state.lastReader] = continuation
            return state.lastReader
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { _ = $0.readers.removeValue(forKey: id) }
        }
        return stream
    }

    /// Listens until graceful shutdown or cancellation, then ends all streams.
    package func run() async throws {
        let loop = PostgresEventLoop(name: "postgres-listen")
        await cancelWhenGracefulShutdown { await self.listen(on: loop) }
        loop.stop()
        let readers = state.withLock { state in
            state.isFinished = true
            defer { state.readers = [:] }
            return state.readers.values.map(\.self)
        }
        for reader in readers { reader.finish() }
    }

    private func listen(on loop: PostgresEventLoop) async {
        var attempt = 0
        while !Task.isCancelled {
            do {
                try await listenOnce(on: loop)
            } catch {
                let wasProven = state.withLock { state in
                    defer { state.isProven = false }
                    return state.isProven
                }
                attempt = wasProven ? 1 : attempt + 1
                if Task.isCancelled { return }
                // The first failure, and then ever more rarely: 2nd, 4th, 8th, …
                if attempt & (attempt - 1) == 0 {
                    logger.warning(
                        "listening for notifications was interrupted",
                        metadata: ["error": "\(error)", "attempt": "\(attempt)"])
                }
                do {
                    try await Task.sleep(for: timing.backoff.delay(afterAttempt: attempt))
                } catch {
                    return
                }
            }
        }
        state.withLock { $0.isProven = false }
    }

    /// Connects and listens until something goes wrong, which is thrown, or the task is cancelled.
    private func listenOnce(on loop: PostgresEventLoop) async throws {
        let (signals, signal) = AsyncStream.makeStream(of: Signal.self)
        let session = try await open(on: loop, signal)
        defer { session.close() }
        let listens = (channels + [probeChannel]).map { "listen \(identifier: $0)" as PostgresQuery }
        _ = try await session.run(PostgresRequest(.statements(listens), timeout: settings.connectTimeout))
        broadcast(.mayHaveMissed)
        signal.yield(.probe)
        var sent = 0
        var seen = 0
        for await next in signals {
            switch next {
            case .probe:
                sent += 1
                let probe = sent
                loop.schedule(at: .now + timing.probeTimeout) { signal.yield(.deadline(probe)) }
                try await send(probe, over: session, on: loop)
            case .echo(let number):
                seen = number
                state.withLock { $0.isProven = true }
                loop.schedule(at: .now + timing.probeInterval) { signal.yield(.probe) }
            case .deadline(let number):
                guard seen < number else { continue }
                throw PostgresError(
                    .connection,
                    "notifications do not arrive: the direct connection string has to reach PostgreSQL itself")
            case .ended(let error):
                throw error
            }
        }
    }

    /// Sends a probe. The first one comes from another connection: behind a pooler in transaction mode a notification
    /// arrives as long as the listening connection itself is busy, but not when it is idle.
    private func send(_ probe: Int, over session: PostgresSession, on loop: PostgresEventLoop) async throws {
        let query: PostgresQuery = "select pg_notify(\(probeChannel), \("\(probe)"))"
        let request = PostgresRequest(.statements([query]), timeout: timing.probeTimeout)
        guard probe == 1 else {
            _ = try await session.run(request)
            return
        }
        let other = PostgresSession(
            id: 1, opened: try await LibPQConnector.connect(connectOptions("probe"), loop: loop), loop: loop,
            options: PostgresSession.Options(statementCacheSize: 0)
        ) { _ in }
        other.start()
        defer { other.close() }
        _ = try await other.run(request)
    }

    private func connectOptions(_ role: String) -> PostgresConnectOptions {
        PostgresConnectOptions(
            url: settings.directURL, applicationName: "\(settings.applicationName)-\(role)",
            timeout: settings.connectTimeout, keepaliveIdle: 10)
    }

    private func open(
        on loop: PostgresEventLoop, _ signal: AsyncStream<Signal>.Continuation
    ) async throws(PostgresError) -> PostgresSession {
        let session = PostgresSession(
            id: 0, opened: try await LibPQConnector.connect(connectOptions("listen"), loop: loop), loop: loop,
            options: PostgresSession.Options(statementCacheSize: 0),
            onNotification: { [weak self, probeChannel] channel, payload in
                if channel == probeChannel {
                    if let number = Int(payload) { signal.yield(.echo(number)) }
                } else {
                    self?.broadcast(.notification(channel: channel, payload: payload))
                }
            },
            onEnd: { reason in
                signal.yield(.ended(reason ?? PostgresError(.closed, "the connection was closed")))
            })
        session.start()
        return session
    }

    private func broadcast(_ event: PostgresListenerEvent) {
        for reader in state.withLock({ $0.readers.values.map(\.self) }) {
            if case .dropped = reader.yield(event) { reader.yield(.mayHaveMissed) }
        }
    }
}
