package import Foundation
package import Logging
import Metrics

/// LiteLLM's management API, whatever the release: typed calls that either do what they say or throw a
/// ``LiteLLMError`` sorted by what to do next. What a call gate throws is passed on as it is.
///
/// A refusal that an outage of LiteLLM's database can imitate is believed only after a second read agrees; these
/// reads happen inside the call and pass the gate like any other.
package struct LiteLLMClient: Sendable {
    private let transport: any HTTPTransport
    let settings: LiteLLMSettings
    private let logger: Logger
    let now: @Sendable () -> Date
    private var gate: (any LiteLLMCallGate)?
    private var requestId: String?
    private var jobId: String?

    /// A client without gate and correlation.
    package init(
        transport: any HTTPTransport, settings: LiteLLMSettings,
        logger: Logger = Logger(label: "litellm"), now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.transport = transport
        self.settings = settings
        self.logger = logger
        self.now = now
    }

    /// The same client, asking `gate` before each request.
    package func gated(by gate: any LiteLLMCallGate) -> LiteLLMClient {
        var copy = self
        copy.gate = gate
        return copy
    }

    /// The same client, sending the request's id, or else the job's, as `x-request-id` and logging both.
    package func withCorrelation(requestId: String?, jobId: String?) -> LiteLLMClient {
        var copy = self
        copy.requestId = requestId
        copy.jobId = jobId
        return copy
    }

    /// Sends the call and decodes its answer.
    func perform<Answer: Decodable & Sendable>(_ call: LiteLLMCall, as type: Answer.Type) async throws -> Answer {
        switch try await outcome(of: call, decode: { try JSON.decoder.decode(type, from: Data($0.body)) }) {
        case .success(let answer): return answer
        case .failure(let verdict): throw try await confirmed(verdict, of: call)
        }
    }

    /// Sends the call and, instead of throwing it, answers nil to a confirmed refusal that has one of these codes.
    func performOrNil<Answer: Decodable & Sendable>(
        _ call: LiteLLMCall, as type: Answer.Type, nilFor codes: String...
    ) async throws -> Answer? {
        do {
            return try await perform(call, as: type)
        } catch let error as LiteLLMError where error.kind == .permanent && codes.contains(error.code) {
            return nil
        }
    }

    /// One request: gate, transport, classification, log, gate.
    func outcome<Answer: Sendable>(
        of call: LiteLLMCall, decode: (HTTPClientResponse) throws -> Answer
    ) async throws -> LiteLLMOutcome<Answer> {
        let limit = call.upstream == .litellmUsage ? settings.usageTimeout : settings.timeout
        try await gate?.admit(call.upstream, timeLimit: limit)
        let clock = ContinuousClock()
        let start = clock.now
        let (outcome, status) = await send(call, limit: limit, decode)
        let duration = start.duration(to: clock.now)
        report(call, status: status, outcome.error, duration)
        await gate?.finished(call.upstream, error: outcome.errorForGate, duration: duration)
        return outcome
    }

    private func send<Answer: Sendable>(
        _ call: LiteLLMCall, limit: Duration, _ decode: (HTTPClientResponse) throws -> Answer
    ) async -> (LiteLLMOutcome<Answer>, status: Int?) {
        let response: HTTPClientResponse
        do {
            response = try await transport.send(request(for: call, limit: limit))
        } catch {
            let failure =
                error as? HTTPTransportError
                ?? HTTPTransportError(
                    error is CancellationError ? .cancelled : .aborted, requestMayHaveReachedServer: true,
                    message: "unknown failure of the transport")
            return (.failure(LiteLLMVerdict(error: LiteLLMClassifier.error(for: failure, of: call))), nil)
        }
        guard (200..<300).contains(response.status) else {
            let refusal = LiteLLMRefusal(status: response.status, body: response.body)
            let retryAfter = response.header("retry-after").flatMap { Duration(retryAfter: $0, now: now()) }
            return (
                .failure(LiteLLMClassifier.verdict(on: refusal, of: call, retryAfter: retryAfter)), response.status
            )
        }
        do {
            return (.success(try decode(response)), response.status)
        } catch {
            // The coder's error may quote the body.
            return (
                .failure(LiteLLMVerdict(error: LiteLLMClassifier.badResponse(response.status, call))), response.status
            )
        }
    }

    private func request(for call: LiteLLMCall, limit: Duration) -> HTTPClientRequest {
        var headers = [
            ("authorization", "Bearer \(settings.apiKey.reveal())"), ("accept", "application/json"),
        ]
        if !call.body.isEmpty { headers.append(("content-type", "application/json")) }
        if call.isWrite { headers.append(("litellm-changed-by", settings.changedBy)) }
        if let id = requestId ?? jobId.map({ "job-\($0)" }) { headers.append(("x-request-id", id)) }
        return HTTPClientRequest(
            method: call.method, url: settings.baseURL + call.target, headers: headers, body: call.body,
            limits: HTTPLimits(
                totalTimeout: limit, connectTimeout: min(limit, settings.connectTimeout),
                maxResponseBytes: settings.maxResponseBytes))
    }

    private func report(_ call: LiteLLMCall, status: Int?, _ error: LiteLLMError?, _ duration: Duration) {
        let labels = [("path", call.path), ("outcome", error?.code ?? "ok")]
        Metrics.Timer(label: "litemaas_litellm_call_duration_seconds", dimensions: labels).record(duration: duration)
        var metadata: Logger.Metadata = [
            "method": "\(call.method.rawValue)", "path": "\(call.path)",
            "duration_ms": "\(duration.inMilliseconds)",
        ]
        if let status { metadata["status"] = "\(status)" }
        if let error { metadata["error"] = "\(error.code)" }
        if let detail = error?.detail { metadata["detail"] = "\(detail)" }
        if let requestId { metadata["request_id"] = "\(requestId)" }
        if let jobId { metadata["job_id"] = "\(jobId)" }
        logger.debug("LiteLLM call", metadata: metadata)
    }
}

/// How a request ended.
enum LiteLLMOutcome<Answer: Sendable>: Sendable {
    case success(Answer)
    case failure(LiteLLMVerdict)

    var error: LiteLLMError? {
        guard case .failure(let verdict) = self else { return nil }
        return verdict.error
    }

    /// A verdict that is still to be confirmed must move no breaker.
    var errorForGate: LiteLLMError? {
        guard case .failure(let verdict) = self else { return nil }
        var error = verdict.error
        if verdict.confirmation != .none {
            error.countsForBreaker = false
            error.opensEveryClass = false
        }
        return error
    }
}
