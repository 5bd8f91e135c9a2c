import Synchronization

/// Answers LiteLLM's endpoints from a state in memory. Every request takes effect at once and whole.
final class Simulator: Backend {
    private let state = Mutex(State())
    private let settings: SimulatorSettings

    init(settings: SimulatorSettings) { self.settings = settings }

    func serve(_ call: Call) async -> Outcome { .answer(answer(call)) }

    /// Reads or changes the state outside LiteLLM's endpoints.
    func withState<Result: Sendable>(_ body: @Sendable (inout State) -> Result) -> Result {
        state.withLock { state in body(&state) }
    }

    private func answer(_ call: Call) -> Answer {
        do throws(Refusal) {
            let (route, variables) = try Routes.find(method: call.method, path: call.path)
            let json = Result<JSON?, JSONSyntaxError> { () throws(JSONSyntaxError) in
                call.body.isEmpty ? JSON?.none : try JSONParser.parse(call.body)
            }
            if case .json = route.body, case .failure(let error) = json { throw Self.malformed(error) }
            let answer = state.withLock { state -> Result<Answer, Refusal> in
                Result { () throws(Refusal) in
                    let caller = try Authentication.caller(call, route, state, settings.masterKey)
                    let body = try Self.body(json, of: route)
                    let question = Question(
                        call: call, caller: caller, body: body, variables: variables, settings: settings)
                    return try route.handler(&state, question)
                }
            }
            return try answer.get()
        } catch {
            return error.answer
        }
    }

    private static func body(_ json: Result<JSON?, JSONSyntaxError>, of route: Route) throws(Refusal) -> JSONObject {
        switch route.body {
        case .none:
            return [:]
        case .json(let schema):
            guard case .success(let value) = json, let value else { throw .invalid([.missing("body")]) }
            guard let members = value.members else { throw .uncaught }
            return try schema.read(members)
        case .inference:
            switch json {
            case .success(let value): return value?.members ?? [:]
            case .failure(let error):
                let message =
                    "Invalid JSON payload: unexpected character, expected a string key: line 1 column "
                    + "\(error.offset + 1) (char \(error.offset))"
                throw .error(400, message, type: "invalid_request_error", param: "request_body")
            }
        }
    }

    private static func malformed(_ error: JSONSyntaxError) -> Refusal {
        .invalid([
            Violation(type: "json_invalid", location: ["body", .integer(error.offset)], message: "JSON decode error")
        ])
    }
}

/// What stands behind the server: the simulator itself or another LiteLLM.
protocol Backend: Sendable {
    /// Lets a request take effect.
    func serve(_ call: Call) async -> Outcome
}
