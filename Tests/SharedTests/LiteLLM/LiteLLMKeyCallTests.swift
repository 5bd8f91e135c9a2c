import Foundation
import Shared
import Testing

@Suite("LiteLLM: keys")
struct LiteLLMKeyCallTests {
    @Test("a key is read from a nested answer")
    func nested() async throws {
        let body = """
            {"key":"\(someHash)","info":{"key_name":"sk-...abcd","key_alias":"k-1","spend":0.47999999999999093,
            "max_budget":10.0,"soft_budget":null,"litellm_budget_table":{"soft_budget":8},"expires":
            "2027-02-21T00:32:00.580000+00:00","models":["a","b"],"user_id":"u-1","team_id":"t-1","blocked":null,
            "tpm_limit":1000,"rpm_limit":60,"max_parallel_requests":3,"budget_duration":"30d",
            "budget_reset_at":"2026-12-01T00:00:00Z","model_rpm_limit":null,"metadata":{"created_by":"litemaas",
            "db_key_id":"9","intent_id":"77","version":3,"client":{"x":1},"model_rpm_limit":{"a":5}},
            "created_at":"2026-11-23T00:32:00.581000+00:00","status":"active"}}
            """
        let litellm = FakeLiteLLM(["GET /key/info": .answer(body: body)])
        let key = try #require(try await litellm.client().keyInfo(hash: someHash))
        #expect(key.hash == someHash)
        #expect(key.status == .active)
        #expect(key.alias == "k-1")
        #expect(key.models == ["a", "b"])
        #expect(key.spend == Decimal(string: "0.47999999999999093"))
        #expect(key.maxBudget == 10)
        #expect(key.softBudget == 8)
        #expect(key.expires == ISO8601.date(from: "2027-02-21T00:32:00.58Z"))
        #expect(key.budgetResetAt == ISO8601.date(from: "2026-12-01T00:00:00Z"))
        #expect(key.modelRpmLimit == ["a": 5])
        #expect(key.marker == LiteLLMMarker(.key, id: "9", intentId: "77", version: 3, client: ["x": 1]))
        #expect(litellm.transport.requests.first?.query == ["key": someHash])
    }

    @Test("a key is read from the flat answer of older releases, numbers as text and a marker as text")
    func flat() async throws {
        let body = """
            {"token":"\(someHash)","key_name":"sk-...abcd","spend":"1e-06","max_budget":"12.50","tpm_limit":"100",
            "rpm_limit":60.0,"metadata":"{\\"created_by\\":\\"litemaas\\",\\"db_key_id\\":9,\\"version\\":1}",
            "user_id":"None","blocked":"true","created_at":"2026-11-23T00:32:00Z"}
            """
        let key = try #require(
            try await FakeLiteLLM(["GET /key/info": .answer(body: body)]).client().keyInfo(hash: someHash))
        #expect(key.spend == Decimal(string: "0.000001"))
        #expect(key.maxBudget == Decimal(string: "12.5"))
        #expect(key.tpmLimit == 100)
        #expect(key.rpmLimit == 60)
        #expect(key.userId == nil)
        #expect(key.models.isEmpty)
        #expect(key.status == .blocked)
        #expect(key.marker?.id == "9")
    }

    @Test(
        "the status follows from what is there",
        arguments: [
            (#""status":"active""#, LiteLLMKey.Status.active), (#""status":"active","blocked":true"#, .blocked),
            (#""status":"revoked""#, .blocked), (#""status":"expired""#, .expired),
            (#""status":"deleted","blocked":true"#, .deleted), (#""deleted_at":"2026-01-01T00:00:00Z""#, .deleted),
            (#""expires":"2026-11-22T00:00:00Z""#, .expired), (#""expires":"2030-01-01T00:00:00+00:00""#, .active),
            (#""expires":null"#, .active), (#""blocked":false"#, .active),
        ])
    func status(members: String, expected: LiteLLMKey.Status) async throws {
        let body = #"{"key":"\#(someHash)","info":{"key_name":"sk-...","metadata":{},\#(members)}}"#
        let litellm = FakeLiteLLM(["GET /key/info": .answer(body: body)])
        #expect(try await litellm.client().keyInfo(hash: someHash)?.status == expected)
    }

    @Test("a key that is not there is nil, one that cannot be told is an error")
    func absent() async throws {
        let absent = FakeLiteLLM(["GET /key/info": .refusal(404, "Key not found in database", type: "not_found_error")])
        #expect(try await absent.client().keyInfo(hash: someHash) == nil)
        #expect(absent.calls == ["GET /key/info"])
        let elsewhere = FakeLiteLLM([:] as [String: FakeLiteLLM.Outcome])
        #expect(
            try await liteLLMError { try await elsewhere.client().keyInfo(hash: someHash) }.code
                == "litellm_bad_response")
        let down = FakeLiteLLM(["GET /key/info": noDatabaseAnswer])
        #expect(try await liteLLMError { try await down.client().keyInfo(hash: someHash) }.code == "litellm_db_down")
    }

    @Test("an answer about another key is not believed")
    func otherKey() async throws {
        let other = String(repeating: "ff", count: 32)
        let litellm = FakeLiteLLM(["GET /key/info": .answer(body: #"{"info":{"token":"\#(other)","key_name":"x"}}"#)])
        #expect(
            try await liteLLMError { try await litellm.client().keyInfo(hash: someHash) }.code == "litellm_bad_response"
        )
    }

    @Test("a key is made with secret, alias, marker and models; what is not set is not sent")
    func generate() async throws {
        let secret = Secret("sk-chosen-0123456789")
        let litellm = FakeLiteLLM(["POST /key/generate": .answer(body: #"{"key":"sk-chosen-0123456789"}"#)])
        var spec = LiteLLMKeySpec(
            alias: "k-9", marker: LiteLLMMarker(.key, id: "9", intentId: "77", version: 2), models: .init("a", "b", "a")
        )
        try await litellm.client().generateKey(spec, secret: secret)
        spec.userId = "u"
        spec.teamId = "t"
        spec.maxBudget = Decimal(string: "0.100000000000000001")
        spec.softBudget = 1
        spec.budgetDuration = "30d"
        spec.duration = "90d"
        spec.tpmLimit = 1
        spec.rpmLimit = 2
        spec.maxParallelRequests = 3
        spec.modelTpmLimit = ["a": 4]
        spec.modelRpmLimit = ["a": 5]
        spec.modelMaxBudget = ["a": LiteLLMModelBudget(limit: 6, period: "1d")]
        spec.blocked = true
        try await litellm.client().generateKey(spec, secret: secret)

        let bodies = try litellm.bodies("POST /key/generate")
        let least: JSONValue = [
            "key": "sk-chosen-0123456789", "key_alias": "k-9", "models": ["a", "b"],
            "metadata": ["created_by": "litemaas", "db_key_id": "9", "intent_id": "77", "version": 2],
            "allowed_routes": ["llm_api_routes"],
        ]
        #expect(bodies.first == least)
        let most = try #require(bodies.last?.objectValue)
        #expect(most["user_id"] == "u")
        #expect(most["team_id"] == "t")
        #expect(most["duration"] == "90d")
        #expect(most["model_tpm_limit"] == ["a": 4])
        #expect(most["model_rpm_limit"] == ["a": 5])
        #expect(most["model_max_budget"] == ["a": ["budget_limit": 6, "time_period": "1d"]])
        #expect(most["blocked"] == true)
        #expect(most.count == 18)
        let sent = String(decoding: litellm.transport.requests.last?.body ?? [], as: UTF8.self)
        #expect(sent.contains(#""max_budget":0.100000000000000001"#))
    }

    @Test("a key whose list of models would be empty cannot be described")
    func noModels() {
        #expect(LiteLLMModelNames([]) == nil)
        #expect(LiteLLMModelNames(["", "  ", "\n"]) == nil)
        #expect(LiteLLMModelNames(["", "a", "a"])?.names == ["a"])
    }

    @Test("LiteLLM making another key than the chosen one is no success")
    func ignoredSecret() async throws {
        let litellm = FakeLiteLLM(["POST /key/generate": .answer(body: #"{"key":"sk-another-secret-value"}"#)])
        let spec = LiteLLMKeySpec(
            alias: "k", marker: LiteLLMMarker(.key, id: "1", intentId: "1", version: 1), models: .init("a"))
        let error = try await liteLLMError {
            try await litellm.client().generateKey(spec, secret: Secret("sk-chosen-0123456789"))
        }
        #expect(error.kind == .permanent)
        #expect(error.code == "custom_keys_disabled")
        #expect(error.outcomeUnknown)
        #expect(!"\(error)".contains("another-secret"))
    }

    @Test("a change sends null to clear, nothing to keep, and never an empty list of models")
    func update() async throws {
        let litellm = FakeLiteLLM(["POST /key/update": .answer(body: #"{"key":"h"}"#)])
        var change = LiteLLMKeyChange()
        change.maxBudget = .clear
        change.tpmLimit = FieldChange(desired: nil)
        change.rpmLimit = FieldChange(desired: 7)
        change.duration = FieldChange(changed: nil)
        change.marker = LiteLLMMarker(.key, id: "9", intentId: "78", version: 3)
        try await litellm.client().updateKey(hash: someHash, change)
        change = LiteLLMKeyChange()
        change.models = .init("only")
        change.blocked = false
        try await litellm.client().updateKey(hash: someHash, change)
        let first: JSONValue = [
            "key": .string(someHash), "max_budget": nil, "tpm_limit": nil, "rpm_limit": 7,
            "metadata": ["created_by": "litemaas", "db_key_id": "9", "intent_id": "78", "version": 3],
        ]
        let second: JSONValue = ["key": .string(someHash), "models": ["only"], "blocked": false]
        #expect(try litellm.bodies("POST /key/update") == [first, second])
    }

    @Test("block, unblock, reset and delete name the key by its hash")
    func actions() async throws {
        let row = #"{"token":"\#(someHash)"}"#
        let litellm = FakeLiteLLM([
            "POST /key/block": [.answer(body: row)], "POST /key/unblock": [.answer(body: row)],
            "POST /key/\(someHash)/reset_spend": [.answer(body: row)],
            "POST /key/delete": [
                .answer(body: #"{"deleted_keys":["\#(someHash)"]}"#), .refusal(404, "{'error': 'No keys found'}"),
            ],
        ])
        let client = litellm.client()
        try await client.blockKey(hash: someHash)
        try await client.unblockKey(hash: someHash)
        try await client.resetKeySpend(hash: someHash)
        #expect(try await client.deleteKey(hash: someHash))
        #expect(try await !client.deleteKey(hash: someHash))
        #expect(try litellm.bodies("POST /key/block") == [["key": .string(someHash)]])
        #expect(try litellm.bodies("POST /key/unblock") == [["key": .string(someHash)]])
        #expect(try litellm.bodies("POST /key/\(someHash)/reset_spend") == [["reset_to": 0]])
        #expect(try litellm.bodies("POST /key/delete").first == ["keys": [.string(someHash)]])
    }

    @Test("a page of keys, and a page that is none")
    func list() async throws {
        let page = """
            {"keys":[{"token":"\(someHash)","key_alias":"k","models":[],"blocked":true}],"total_count":"14",
            "current_page":2,"total_pages":7}
            """
        let litellm = FakeLiteLLM(["GET /key/list": [.answer(body: page), .answer(body: #"{"keys":["hash"]}"#)]])
        let found = try await litellm.client().listKeys(page: 2, size: 2, userId: "u 1", teamId: "t", alias: "k&1")
        #expect(found.keys.map(\.hash) == [someHash])
        #expect(found.keys.first?.status == .blocked)
        #expect(found.totalCount == 14)
        #expect(found.totalPages == 7)
        let query = [
            "page": "2", "size": "2", "return_full_object": "true", "user_id": "u 1", "team_id": "t",
            "key_alias": "k&1",
        ]
        #expect(litellm.transport.requests.first?.query == query)
        #expect(try await liteLLMError { try await litellm.client().listKeys() }.code == "litellm_bad_response")
    }
}

extension Result where Success == HTTPClientResponse, Failure == HTTPTransportError {
    static func answer(body: String) -> Self { .answer(200, body) }
}
