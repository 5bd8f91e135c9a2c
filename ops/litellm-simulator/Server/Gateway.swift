import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization

/// What a request's connection is known by.
struct GatewayContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }
}

/// Every request goes through here: to the admin API, or past the faults to what stands behind.
struct Gateway: HTTPResponder {
    typealias Context = GatewayContext

    /// Bytes of the largest request body that is read.
    private static let largestBody = 16 << 20

    let parts: Parts
    let admin: Admin

    func respond(to request: Request, context: GatewayContext) async throws -> Response {
        let body: ByteBuffer
        do {
            body = try await request.body.collect(upTo: Self.largestBody)
        } catch is NIOTooManyBytesError {
            return Response(status: .contentTooLarge)
        }
        let call = Call(
            id: parts.nextCallID(), method: request.method.rawValue, target: request.uri.string,
            headers: request.headers, body: Array(body.readableBytesView))
        if Admin.owns(call) {
            return Self.response(await admin.answer(call, on: context.channel))
        }
        let outcome = await serve(call)
        switch outcome {
        case .answer(let answer): return Self.response(answer)
        case .cut(let answer): return Self.cutResponse(answer, on: context.channel)
        case .dropped:
            await Self.close(context.channel)
            return Response(status: .internalServerError)
        }
    }

    /// Lets `call` meet its faults and take effect, and writes it down.
    private func serve(_ call: Call) async -> Outcome {
        let started = ContinuousClock.now
        let hits = parts.faults.hits(on: call)
        let outcome = await outcome(of: call, hits)
        parts.log.record(call, outcome, started: started, faults: hits)
        return outcome
    }

    private func outcome(of call: Call, _ hits: [FaultRule]) async -> Outcome {
        for rule in hits where rule.action.phase == .before {
            if let outcome = await meet(rule.action.kind, call) { return outcome }
        }
        let real = await parts.backend.serve(call)
        guard case .answer(let answer) = real else { return real }
        parts.databaseDown.remember(call, status: answer.status)
        for rule in hits where rule.action.phase == .after {
            switch rule.action.kind {
            case .emptyModels: return .answer(EmptyModels.emptied(answer, of: call))
            case .cut: return .cut(answer)
            default: if let outcome = await meet(rule.action.kind, call) { return outcome }
            }
        }
        return real
    }

    /// What a fault makes of a request; nil when the request goes on.
    private func meet(_ kind: FaultAction.Kind, _ call: Call) async -> Outcome? {
        switch kind {
        case .latency(let milliseconds):
            return await went(parts.waiting.pause(.milliseconds(milliseconds)))
        case .hold(let name):
            return await went(parts.waiting.hold(call, as: name))
        case .status(let answer), .garbage(let answer): return .answer(answer)
        case .drop: return .dropped("fault")
        case .down: return .dropped("down")
        case .cut: return .cut(Answer(["data": []]))
        case .emptyModels: return .answer(Answer(["data": []]))
        case .databaseDown: return parts.databaseDown.answer(to: call).map(Outcome.answer)
        }
    }

    private func went(_ end: Waiting.End) -> Outcome? {
        switch end {
        case .goOn: nil
        case .giveUp: .dropped("gave up waiting")
        }
    }

    private static func response(_ answer: Answer) -> Response {
        Response(
            status: .init(code: answer.status), headers: headers(answer),
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: answer.body)))
    }

    /// The head promises the whole body, half of it comes, then the connection is closed.
    private static func cutResponse(_ answer: Answer, on channel: any Channel) -> Response {
        let half = ByteBuffer(bytes: answer.body.prefix(answer.body.count / 2))
        let body = ResponseBody(contentLength: answer.body.count) { writer in
            try await writer.write(half)
            await close(channel)
            throw CancellationError()
        }
        return Response(status: .init(code: answer.status), headers: headers(answer), body: body)
    }

    private static func headers(_ answer: Answer) -> HTTPFields {
        var fields: HTTPFields = [.contentType: answer.contentType]
        for (name, value) in answer.headers {
            guard let name = HTTPField.Name(name) else { continue }
            fields[name] = value
        }
        return fields
    }

    private static func close(_ channel: any Channel) async {
        do {
            try await channel.close()
        } catch {
            // The other side was faster.
        }
    }
}

/// The parts every request needs.
struct Parts: Sendable {
    let settings: SimulatorSettings
    let backend: any Backend
    /// The backend when it is the simulator; nil in front of another LiteLLM.
    let simulator: Simulator?
    let faults: Faults
    let waiting: Waiting
    let databaseDown: DatabaseDown
    let log: CallLog
    let connections: Connections
    let port: PortControl
    private let calls = CallCounter()

    /// - Throws: ``SettingsError`` when the call log cannot be written.
    init(settings: SimulatorSettings) throws {
        self.settings = settings
        if let upstream = settings.upstream {
            backend = Forwarder(upstream: upstream)
            simulator = nil
        } else {
            let simulator = Simulator(settings: settings)
            backend = simulator
            self.simulator = simulator
        }
        faults = Faults(seed: settings.seed)
        waiting = Waiting()
        databaseDown = DatabaseDown(masterKey: settings.masterKey)
        log = try CallLog(file: settings.callLogFile, masterKey: settings.masterKey)
        connections = Connections()
        port = PortControl()
    }

    func nextCallID() -> Int { calls.next() }
}

/// Numbers the calls.
private final class CallCounter: Sendable {
    private let last = Atomic(0)

    func next() -> Int { last.add(1, ordering: .relaxed).newValue }
}
