package import Logging
import ServiceLifecycle
import Synchronization

/// HTTP through libcurl: many requests at once on one thread that is not a cooperative one, with connections kept and
/// HTTP/2 where TLS offers it.
///
/// A read whose *kept* connection ends without a single byte of an answer is sent again on another one, as libcurl does
/// by itself. A write is not: it may have taken effect, and whoever sent it has to look first.
///
/// It works as soon as it exists; `run` only ties its end to a graceful shutdown. Put it before its users in a service
/// group, which stops in reverse order. Without `run`, `shutdown` or letting go of it ends the thread.
package final class CurlTransport: HTTPTransport, Service {
    private let core: CurlCore
    private let logger: Logger
    private let nextId = Atomic<UInt64>(1)

    /// A transport; no thread or connection is made before the first request.
    package init(settings: HTTPSettings = HTTPSettings(), logger: Logger) {
        core = CurlCore(settings: settings)
        self.logger = logger
    }

    package func send(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        let id = nextId.wrappingAdd(1, ordering: .relaxed).oldValue
        let core = core
        return try await withTaskCancellationHandler {
            try await core.send(request, id: id)
        } onCancel: {
            Task { await core.cancel(id) }
        }
    }

    /// Waits for the graceful shutdown or a cancellation, then shuts down.
    package func run() async throws {
        do {
            try await gracefulShutdown()
        } catch is CancellationError {
            logger.debug("HTTP transport cancelled")
        }
        await shutdown()
    }

    /// Fails the requests still under way with `.closed`, closes all connections and refuses further requests.
    package func shutdown() async {
        await core.close()
    }
}
