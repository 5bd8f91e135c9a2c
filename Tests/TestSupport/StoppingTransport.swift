import Foundation
package import Shared
import Synchronization

/// A LiteLLM whose callers a test can let die.
package protocol StoppableLiteLLM: Sendable {
    /// Lets the caller of request number `call`, counted from 1 and from now, hang for ever, before or after the
    /// effect: to the rest of the world, its process died there.
    ///
    /// - Returns: a stream with one element, once that has happened.
    func stop(atCall call: Int, afterEffect: Bool) -> AsyncStream<Void>

    /// Stops nobody any more.
    func stopNobody()
}

extension FakeLiteLLM: StoppableLiteLLM {}

/// Stands before a transport to a real LiteLLM: lets a caller die at a chosen request, and remembers what must never
/// be sent.
package final class StoppingTransport: HTTPTransport, StoppableLiteLLM {
    private struct State: Sendable {
        var stop: Stop?
        var count = 0
        var emptyModelLists: [String] = []
    }

    private struct Stop: Sendable {
        let call: Int
        let afterEffect: Bool
        let signal: AsyncStream<Void>.Continuation
    }

    private let transport: any HTTPTransport
    private let state = Mutex(State())

    /// Sends what it does not stop through `transport`.
    package init(_ transport: any HTTPTransport) { self.transport = transport }

    /// The requests about keys that were sent with an empty list of models, or to make one without a list: LiteLLM
    /// takes either for every model.
    package var emptyModelLists: [String] { state.withLock { $0.emptyModelLists } }

    package func stop(atCall call: Int, afterEffect: Bool) -> AsyncStream<Void> {
        let (stream, signal) = AsyncStream<Void>.makeStream()
        state.withLock {
            $0.stop = Stop(call: call, afterEffect: afterEffect, signal: signal)
            $0.count = 0
        }
        return stream
    }

    package func stopNobody() {
        state.withLock { $0.stop = nil }
    }

    package func send(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        let allowsEverything = try Self.allowsEveryModel(request)
        let stop = state.withLock { state -> Stop? in
            if let allowsEverything { state.emptyModelLists.append(allowsEverything) }
            state.count += 1
            guard let stop = state.stop, stop.call == state.count else { return nil }
            state.stop = nil
            return stop
        }
        guard let stop else { return try await transport.send(request) }
        if stop.afterEffect { _ = try await transport.send(request) }
        stop.signal.yield()
        // Hours, not for ever: the test's end cancels it.
        do { try await Task.sleep(for: .seconds(7200)) } catch {
            throw HTTPTransportError(.cancelled, requestMayHaveReachedServer: true, message: "as the test wants it")
        }
        throw HTTPTransportError(.timeout, requestMayHaveReachedServer: true, message: "as the test wants it")
    }

    /// What is wrong with a request about a key; nil when nothing is.
    private static func allowsEveryModel(_ request: HTTPClientRequest) throws -> String? {
        let path = request.url.split(separator: "?")[0]
        let makesOne = path.hasSuffix("/key/generate")
        guard makesOne || path.hasSuffix("/key/update") else { return nil }
        let models = try JSON.decoder.decode(JSONValue.self, from: Data(request.body))["models"]
        guard models?.arrayValue?.isEmpty ?? (makesOne || models?.isNull == true) else { return nil }
        return "\(makesOne ? "/key/generate" : "/key/update") with models \(models?.encodedString() ?? "left out")"
    }
}
