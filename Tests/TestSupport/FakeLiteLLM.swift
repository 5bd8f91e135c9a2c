package import Shared
import Synchronization

/// LiteLLM's management API in memory, at the level of the transport: it answers as the real one does for the calls
/// that the job kinds make, and stops, holds or spoils them at a chosen point.
package final class FakeLiteLLM: HTTPTransport {
    /// A row as its members.
    package typealias Row = [String: JSONValue]

    /// What LiteLLM holds.
    package struct State: Sendable {
        /// By hash.
        package var keys: [String: Row] = [:]
        /// By hash: LiteLLM remembers them.
        package var deletedKeys: [String: Row] = [:]
        package var users: [String: Row] = [:]
        package var teams: [String: Row] = [:]
        /// Entries of the model list.
        package var deployments: [JSONValue] = []
        /// What providers take, by deployment: LiteLLM never shows it.
        package var providerKeys: [String: String] = [:]
        /// Whether `/model/delete` leaves the list as it is, as a replica does that has not heard of it.
        package var listsDeletedModels = false
        /// Deployments that the database does not have any more.
        package var deletedDeployments: Set<String> = []
        /// Pages of `/user/daily/activity` by date.
        package var activity: [String: [JSONValue]] = [:]
        /// Rows of `/spend/logs/v2`.
        package var spendLogs: [Row] = []
        /// Whether `/key/generate` ignores the chosen secret, as releases do that do not know the member.
        package var makesOwnSecrets = false
        /// Method and path of each request, in order.
        package var calls: [String] = []
    }

    /// How a request is spoilt.
    package enum Fault: Sendable {
        /// This answer instead of its effect.
        case answer(Int, JSONValue)
        /// This answer after its effect.
        case answerAfterEffect(Int, JSONValue)
        /// The connection is lost before or after its effect.
        case connectionLost(afterEffect: Bool)
        /// The caller gives up on it, while it is on its way until `deliverHeld()`.
        case held
    }

    fileprivate struct Control: Sendable {
        var state = State()
        var faults: [(path: String, fault: Fault)] = []
        var held: [HTTPClientRequest] = []
        var stop: (call: Int, afterEffect: Bool, signal: AsyncStream<Void>.Continuation)?
    }

    private let control = Mutex(Control())
    private let settings = LiteLLMSettings(baseURL: "http://litellm.test", apiKey: Secret("sk-master"))

    /// An empty LiteLLM.
    package init() {}

    /// A client of it.
    package var client: LiteLLMClient { LiteLLMClient(transport: self, settings: settings) }

    /// What it holds now.
    package var state: State { control.withLock { $0.state } }

    /// Changes what it holds.
    package func change(_ body: @Sendable (inout State) -> Void) {
        control.withLock { body(&$0.state) }
    }

    /// Spoils the next request to `path`; several faults wait for several requests.
    package func fail(_ path: String, _ fault: Fault) {
        control.withLock { $0.faults.append((path, fault)) }
    }

    package func stop(atCall call: Int, afterEffect: Bool) -> AsyncStream<Void> {
        let (stream, signal) = AsyncStream<Void>.makeStream()
        control.withLock {
            $0.stop = (call, afterEffect, signal)
            $0.state.calls = []
        }
        return stream
    }

    package func stopNobody() {
        control.withLock { $0.stop = nil }
    }

    /// Lets the held requests arrive.
    package func deliverHeld() {
        control.withLock { control in
            for request in control.held { _ = Self.effect(of: request, on: &control.state) }
            control.held = []
        }
    }

    package func send(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        let (result, stop) = control.withLock { $0.receive(request) }
        if let stop {
            stop.yield()
            // Hours, not for ever: the test's end cancels it.
            do { try await Task.sleep(for: .seconds(7200)) } catch { throw Self.lost(.cancelled) }
        }
        return try result.get()
    }

    fileprivate static func lost(_ code: HTTPTransportError.Code) -> HTTPTransportError {
        HTTPTransportError(code, requestMayHaveReachedServer: true, message: "as the test wants it")
    }

    /// The effect of a request and LiteLLM's answer to it.
    fileprivate static func effect(of request: HTTPClientRequest, on state: inout State) -> HTTPClientResponse {
        let call = FakeLiteLLMCall(request)
        let (status, body) = state.answer(call)
        return response(status, body)
    }

    fileprivate static func response(_ status: Int, _ body: JSONValue) -> HTTPClientResponse {
        HTTPClientResponse(status: status, body: Array(body.encodedString().utf8))
    }
}

extension FakeLiteLLM.Control {
    fileprivate mutating func receive(
        _ request: HTTPClientRequest
    ) -> (Result<HTTPClientResponse, any Error>, stop: AsyncStream<Void>.Continuation?) {
        let call = FakeLiteLLMCall(request)
        state.calls.append("\(request.method.rawValue) \(call.path)")
        guard let stop, stop.call == state.calls.count else { return (spoilt(request, call), nil) }
        self.stop = nil
        guard stop.afterEffect else { return (.failure(FakeLiteLLM.lost(.cancelled)), stop.signal) }
        return (spoilt(request, call), stop.signal)
    }

    private mutating func spoilt(
        _ request: HTTPClientRequest, _ call: FakeLiteLLMCall
    ) -> Result<HTTPClientResponse, any Error> {
        guard let index = faults.firstIndex(where: { $0.path == call.path }) else {
            return .success(FakeLiteLLM.effect(of: request, on: &state))
        }
        switch faults.remove(at: index).fault {
        case .answer(let status, let body):
            return .success(FakeLiteLLM.response(status, body))
        case .answerAfterEffect(let status, let body):
            _ = FakeLiteLLM.effect(of: request, on: &state)
            return .success(FakeLiteLLM.response(status, body))
        case .connectionLost(let afterEffect):
            if afterEffect { _ = FakeLiteLLM.effect(of: request, on: &state) }
            return .failure(FakeLiteLLM.lost(.aborted))
        case .held:
            held.append(request)
            return .failure(FakeLiteLLM.lost(.timeout))
        }
    }
}
