import Foundation
import Shared
import Synchronization
import Testing

/// An outage of LiteLLM's database shows as 400 and 401 too: these are believed only after a second read.
@Suite("LiteLLM: refusals that a second read confirms")
struct LiteLLMConfirmationTests {
    private let invalid = FakeLiteLLM.Outcome.refusal(400, "{'error': 'max_budget must be a non-negative number'}")
    private let unknownKey = FakeLiteLLM.Outcome.refusal(
        401, "Authentication Error, Invalid proxy server token passed.", type: "token_not_found_in_db")

    private func update(_ litellm: FakeLiteLLM, _ gate: RecordingGate? = nil) async throws -> LiteLLMError {
        var change = LiteLLMKeyChange()
        change.maxBudget = .set(-1)
        let client = gate.map { litellm.client().gated(by: $0) } ?? litellm.client()
        return try await liteLLMError { try await client.updateKey(hash: someHash, change) }
    }

    @Test("a 400 is permanent once the database answers")
    func validation() async throws {
        let litellm = FakeLiteLLM(["POST /key/update": invalid, "GET /key/list": .answer(body: emptyKeyList)])
        let error = try await update(litellm)
        #expect(error.kind == .permanent)
        #expect(error.code == "validation")
        #expect(error.detail?.contains("non-negative") == true)
        #expect(!error.outcomeUnknown)
        #expect(litellm.calls == ["POST /key/update", "GET /key/list"])
    }

    @Test("a 400 is retryable, its effect unknown, while the database does not answer")
    func validationInOutage() async throws {
        let cases: [(FakeLiteLLM.Outcome, String)] = [
            (noDatabaseAnswer, "litellm_db_down"), (.refusal(500, "Can't reach database server"), "litellm_db_down"),
            (.lost(.connect(refused: true), reached: false), "litellm_unreachable"),
            (.lost(.timeout, reached: true), "litellm_timeout"), (.answer(200, "<html>"), "litellm_bad_response"),
            (unknownKey, "litellm_unconfirmed"), (.answer(422, #"{"detail":[]}"#), "litellm_unconfirmed"),
        ]
        for (second, code) in cases {
            let error = try await update(FakeLiteLLM(["POST /key/update": invalid, "GET /key/list": second]))
            #expect(error.kind == .retryable)
            #expect(error.code == code)
            #expect(error.outcomeUnknown)
        }
    }

    @Test("conflicts and validation by field need no second read")
    func certain() async throws {
        let certain: [FakeLiteLLM.Outcome] = [
            .refusal(400, "Key with alias 'k' already exists."), .refusal(404, "Key not found."),
            .answer(422, #"{"detail":[{"loc":["body","max_budget"],"msg":"not a number"}]}"#),
            .refusal(403, "{'error': 'Custom API key values are disabled by your administrator.'}"),
        ]
        for answer in certain {
            let litellm = FakeLiteLLM(["POST /key/update": answer])
            #expect(try await update(litellm).kind != .retryable)
            #expect(litellm.calls == ["POST /key/update"])
        }
    }

    @Test("the master key is refused only when it is refused twice, and the second time moves the breaker")
    func masterKey() async throws {
        let gate = RecordingGate()
        let refused = FakeLiteLLM(["POST /key/update": unknownKey, "GET /key/list": unknownKey])
        let error = try await update(refused, gate)
        #expect(error.code == "master_key_refused")
        #expect(error.kind == .retryable)
        #expect(error.opensEveryClass)
        #expect(error.countsForBreaker)
        #expect(!error.outcomeUnknown)
        #expect(gate.finished.map { $0?.code } == ["master_key_refused", "master_key_refused"])
        #expect(gate.finished.map { $0?.countsForBreaker } == [false, true])
        #expect(gate.finished.map { $0?.opensEveryClass } == [false, true])
    }

    @Test("a 401 that a second read contradicts, or explains, is not the key's fault")
    func masterKeyUnconfirmed() async throws {
        let cases: [(FakeLiteLLM.Outcome, String)] = [
            (.answer(body: emptyKeyList), "litellm_unconfirmed"), (noDatabaseAnswer, "litellm_db_down"),
            (.refusal(401, "Authentication Error, Can't reach database server"), "litellm_db_down"),
            (.lost(.aborted, reached: true), "litellm_connection_lost"),
        ]
        for (second, code) in cases {
            let error = try await update(FakeLiteLLM(["POST /key/update": unknownKey, "GET /key/list": second]))
            #expect(error.code == code)
            #expect(error.kind == .retryable)
            #expect(error.code == "litellm_db_down" || !error.opensEveryClass)
        }
    }

    @Test("the probe itself finds a refused master key by asking twice")
    func probe() async throws {
        let litellm = FakeLiteLLM(["GET /key/list": unknownKey])
        #expect(try await liteLLMError { try await litellm.client().probe() }.code == "master_key_refused")
        #expect(litellm.calls.count == 2)
    }
}

/// Admits everything and remembers what it was told.
final class RecordingGate: LiteLLMCallGate {
    struct Refused: Error {}

    private struct State {
        var admitted: [(Upstream, Duration)] = []
        var finished: [LiteLLMError?] = []
        var upstreams: [Upstream] = []
        var refuseAfter = Int.max
    }

    private let state = Mutex(State())

    init(refuseAfter count: Int = .max) { state.withLock { $0.refuseAfter = count } }

    var admitted: [(Upstream, Duration)] { state.withLock { $0.admitted } }
    var finished: [LiteLLMError?] { state.withLock { $0.finished } }
    var upstreams: [Upstream] { state.withLock { $0.upstreams } }

    func admit(_ upstream: Upstream, timeLimit: Duration) async throws {
        try state.withLock {
            guard $0.admitted.count < $0.refuseAfter else { throw Refused() }
            $0.admitted.append((upstream, timeLimit))
        }
    }

    func finished(_ upstream: Upstream, error: LiteLLMError?, duration: Duration) async {
        state.withLock {
            $0.finished.append(error)
            $0.upstreams.append(upstream)
        }
    }
}
