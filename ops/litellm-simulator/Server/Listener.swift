import Foundation
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization

/// The HTTP server. It can close its port for a while, so that connections are refused as if nothing ran there.
final class Listener: Service {
    private let parts: Parts
    private let host: String
    private let port: Mutex<Int>
    private let wasAnnounced = Mutex(false)
    private let logger: Logger

    /// - Parameter port: 0 takes a free one.
    init(parts: Parts, host: String, port: Int, logger: Logger) {
        self.parts = parts
        self.host = host
        self.port = Mutex(port)
        self.logger = logger
    }

    /// Serves until graceful shutdown; requests that wait then lose their connection.
    ///
    /// - Throws: when the port cannot be opened.
    func run() async throws {
        try await withGracefulShutdownHandler {
            try await withThrowingDiscardingTaskGroup { group in
                var server: ServiceGroup?
                for await order in parts.port.orders {
                    switch order {
                    case .open:
                        let opened = ServiceGroup(
                            configuration: .init(services: [application()], logger: logger))
                        server = opened
                        group.addTask { try await opened.run() }
                    case .close(let end):
                        await server?.triggerGracefulShutdown()
                        group.addTask { await self.reopen(at: end) }
                    }
                }
            }
        } onGracefulShutdown: { [parts] in
            parts.port.finish()
            parts.waiting.close()
        }
    }

    private func reopen(at end: ContinuousClock.Instant) async {
        do {
            try await cancelWhenGracefulShutdown { try await Task.sleep(until: end) }
            parts.port.open()
        } catch {
            // The simulator stops.
        }
    }

    private func application() -> some ApplicationProtocol {
        let connections = parts.connections
        return Application(
            responder: Gateway(parts: parts, admin: Admin(parts: parts)),
            server: .http1(configuration: .init(additionalChannelHandlers: [ConnectionNote(connections)])),
            configuration: ApplicationConfiguration(address: .hostname(host, port: port.withLock { $0 })),
            onServerRunning: { [self] channel in announce(channel) }, logger: logger)
    }

    private func announce(_ channel: any Channel) {
        guard let bound = channel.localAddress?.port else { return }
        port.withLock { $0 = bound }
        let isFirst = wasAnnounced.withLock { was in
            defer { was = true }
            return !was
        }
        guard isFirst else { return }
        let shown = host.contains(":") ? "[\(host)]" : host
        FileHandle.standardOutput.write(Data("litellm-simulator: listening on http://\(shown):\(bound)\n".utf8))
    }
}
