import Testing

@testable import Shared

/// The verdict on each answer, from that answer alone. Bodies are of the shapes LiteLLM 1.106 sends.
@Suite("Classification of LiteLLM's answers")
struct LiteLLMClassifierTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let call: LiteLLMCall
        let status: Int
        let body: String
        let kind: LiteLLMError.Kind
        let code: String
        var confirmation: LiteLLMVerdict.Confirmation = .none
        var flags: Flags = []

        var testDescription: String { "\(call.method.rawValue) \(call.path) \(status) \(code)" }
    }

    struct Flags: OptionSet, Sendable {
        let rawValue: Int
        static let counts = Flags(rawValue: 1)
        static let opensAll = Flags(rawValue: 2)
        static let unknown = Flags(rawValue: 4)
    }

    @Test("already there, already gone", arguments: exactlyOnce)
    func exactlyOnceRules(expected: Case) { check(expected) }

    @Test("authentication and malformed requests", arguments: wireBasics)
    func wire(expected: Case) { check(expected) }

    @Test("what LiteLLM refuses for good", arguments: refusals)
    func refused(expected: Case) { check(expected) }

    @Test("database down", arguments: databaseDown)
    func outage(expected: Case) { check(expected) }

    @Test("anything else that is wrong upstream", arguments: upstreamTrouble)
    func upstream(expected: Case) { check(expected) }

    private func check(_ expected: Case) {
        let refusal = LiteLLMRefusal(status: expected.status, body: Array(expected.body.utf8))
        let verdict = LiteLLMClassifier.verdict(on: refusal, of: expected.call, retryAfter: .seconds(7))
        #expect(verdict.error.kind == expected.kind)
        #expect(verdict.error.code == expected.code)
        #expect(verdict.error.httpStatus == expected.status)
        #expect(verdict.confirmation == expected.confirmation)
        #expect(verdict.error.countsForBreaker == expected.flags.contains(.counts))
        #expect(verdict.error.opensEveryClass == expected.flags.contains(.opensAll))
        #expect(verdict.error.outcomeUnknown == expected.flags.contains(.unknown))
        #expect(verdict.error.retryAfter == (expected.kind == .retryable ? .seconds(7) : nil))
        #expect(verdict.error.message.hasPrefix("\(expected.call.method.rawValue) \(expected.call.path): "))
    }
}

// MARK: - Calls

private func post(_ path: String, _ subject: LiteLLMCall.Subject) -> LiteLLMCall {
    LiteLLMCall(method: .post, path: path, body: Array("{}".utf8), subject: subject)
}

private let generate = post("/key/generate", .key)
private let updateKey = post("/key/update", .key)
private let blockKey = post("/key/block", .key)
private let deleteKey = post("/key/delete", .key)
private let keyInfo = LiteLLMCall.get("/key/info", about: .key)
private let keyList = LiteLLMCall.get("/key/list", about: .key)
private let newUser = post("/user/new", .user)
private let updateUser = post("/user/update", .user)
private let deleteUser = post("/user/delete", .user)
private let userInfo = LiteLLMCall.get("/user/info", about: .user)
private let newTeam = post("/team/new", .team(id: "t"))
private let updateTeam = post("/team/update", .team(id: "t"))
private let deleteTeam = post("/team/delete", .team(id: "t"))
private let teamInfo = LiteLLMCall.get("/team/info", about: .team(id: "t"))
private let addMember = post("/team/member_add", .team(id: "t"))
private let removeMember = post("/team/member_delete", .team(id: "t"))
private let newModel = post("/model/new", .model)
private let patchModel = LiteLLMCall(method: .patch, path: "/model/{}/update", subject: .model)
private let deleteModel = post("/model/delete", .model)
private let modelInfo = LiteLLMCall.get("/v1/model/info", about: .model)
private let usage = LiteLLMCall.get("/user/daily/activity", about: .usage)

// MARK: - Envelopes

private func error(_ message: String, _ type: String = "internal_server_error", code: Int = 0) -> String {
    let escaped = message.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    return #"{"error":{"message":"\#(escaped)","type":"\#(type)","param":null,"code":"\#(code)"}}"#
}

private func detail(_ message: String) -> String { #"{"detail":{"error":"\#(message)"}}"# }

private let licence = "You must be a LiteLLM Enterprise user to use this feature."
private let unreachable = "Can't reach database server at `127.0.0.1:5432`\n\nPlease make sure it is running."
private let notConnected = "Client is not connected to the query engine, you must call `connect()` first."
private let noDatabase = error(
    "Service Unavailable, the authentication database is temporarily unreachable.", "no_db_connection")

// MARK: - Tables

private typealias Case = LiteLLMClassifierTests.Case
private typealias Code = LiteLLMError.Code

private let exactlyOnce: [Case] = [
    Case(
        call: generate, status: 400, body: error("Key with alias 'k' already exists.", "bad_request_error"),
        kind: .conflict, code: Code.aliasExists),
    // A name may say anything.
    Case(
        call: updateKey, status: 400, body: error("Key with alias 'connection pool' already exists."),
        kind: .conflict, code: Code.aliasExists),
    Case(
        call: deleteKey, status: 404, body: error("{'error': 'No keys found'}"), kind: .permanent,
        code: Code.keyNotFound),
    Case(
        call: keyInfo, status: 404, body: error("Key not found in database", "not_found_error"), kind: .permanent,
        code: Code.keyNotFound),
    Case(
        call: blockKey, status: 404, body: error("Key not found.", "not_found_error"), kind: .permanent,
        code: Code.keyNotFound),
    Case(
        call: post("/key/{}/reset_spend", .key), status: 404, body: detail("Key 0123abcd not found."),
        kind: .permanent, code: Code.keyNotFound),
    Case(
        call: newUser, status: 409, body: error("{'error': 'User with id u already exists'}"), kind: .conflict,
        code: Code.userExists),
    Case(
        call: newUser, status: 409, body: error("{'error': 'User with email e already exists'}"), kind: .conflict,
        code: Code.userExists),
    // Older releases.
    Case(
        call: newUser, status: 400, body: error("User with id u already exists", "bad_request_error"),
        kind: .conflict, code: Code.userExists),
    Case(
        call: userInfo, status: 404, body: error("User u not found"), kind: .permanent, code: Code.userNotFound),
    Case(
        call: deleteUser, status: 404, body: detail("User not found, passed user_id=u"), kind: .permanent,
        code: Code.userNotFound),
    Case(
        call: newTeam, status: 400, body: error("{'error': 'Team id = t already exists. Please use another.'}"),
        kind: .conflict, code: Code.teamExists),
    Case(
        call: newTeam, status: 500, body: error("Unique constraint failed on the fields: (`team_id`)"),
        kind: .conflict, code: Code.teamExists),
    Case(
        call: deleteTeam, status: 404, body: detail("Team not found, passed team_id=t"), kind: .permanent,
        code: Code.teamNotFound, confirmation: .teamAbsent(id: "t")),
    Case(
        call: teamInfo, status: 404, body: error("{'message': 'Team not found, passed team id: t.'}", "auth_error"),
        kind: .permanent, code: Code.teamNotFound, confirmation: .teamAbsent(id: "t")),
    Case(
        call: updateTeam, status: 404, body: error("{'error': 'Team not found, passed team_id=t'}"),
        kind: .permanent, code: Code.teamNotFound, confirmation: .teamAbsent(id: "t")),
    Case(
        call: addMember, status: 404, body: detail("Team doesn't exist in db. Team=t."), kind: .permanent,
        code: Code.teamNotFound, confirmation: .teamAbsent(id: "t")),
    Case(
        call: addMember, status: 400,
        body: error("User already in team. Member: user_id=u. Existing members=[]", "team_member_already_in_team"),
        kind: .permanent, code: Code.alreadyMember),
    Case(
        call: addMember, status: 400,
        body: error("All users are already in team. Existing members=[]", "team_member_already_in_team"),
        kind: .permanent, code: Code.alreadyMember),
    Case(
        call: removeMember, status: 400, body: detail("User not found in team"), kind: .permanent,
        code: Code.notMember, confirmation: .probe),
    Case(
        call: removeMember, status: 400, body: detail("Team id=t does not exist in db"), kind: .permanent,
        code: Code.teamNotFound, confirmation: .teamAbsent(id: "t")),
    Case(
        call: newModel, status: 500,
        body: error("{'error': 'Failed to add model to db. Check the logs.'}", "auth_error"),
        kind: .retryable, code: Code.modelNotAdded, flags: .unknown),
    Case(
        call: modelInfo, status: 400, body: detail("Model id = m not found on litellm proxy"), kind: .permanent,
        code: Code.modelNotFound, confirmation: .probe),
    Case(
        call: patchModel, status: 400, body: error("Authentication Error, model not found", "auth_error"),
        kind: .permanent, code: Code.modelNotFound, confirmation: .probe),
    Case(
        call: deleteModel, status: 400, body: error("{'error': 'Model with id=m not found in db'}", "auth_error"),
        kind: .permanent, code: Code.modelNotFound, confirmation: .probe),
]

private func refusedKey(_ message: String, _ type: String = "auth_error") -> Case {
    Case(
        call: keyList, status: 401, body: error(message, type, code: 401), kind: .retryable,
        code: Code.masterKeyRefused, confirmation: .masterKey, flags: [.counts, .opensAll])
}

private let wireBasics: [Case] = [
    refusedKey("Authentication Error, No api key passed in."),
    refusedKey("Authentication Error, Malformed API Key passed in."),
    refusedKey("LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'."),
    refusedKey("Authentication Error, Invalid proxy server token passed.", "token_not_found_in_db"),
    refusedKey("Authentication Error, Key is blocked."),
    refusedKey("Authentication Error - Expired Key.", "expired_key"),
    refusedKey("Authentication Error, Only proxy admin can be used to generate, delete, update info"),
    Case(
        call: newUser, status: 422, body: #"{"detail":[{"type":"json_invalid","loc":["body",1],"msg":"JSON"}]}"#,
        kind: .permanent, code: Code.validation),
    Case(
        call: newUser, status: 422,
        body: #"{"detail":[{"type":"float_parsing","loc":["body","max_budget"],"msg":"not a number"}]}"#,
        kind: .permanent, code: Code.validation),
    Case(
        call: newUser, status: 500,
        body: #"{"error":{"message":"Internal server error","type":"internal_server_error"}}"#,
        kind: .retryable, code: Code.serverError, flags: [.counts, .unknown]),
    Case(
        call: keyInfo, status: 404, body: #"{"detail":"Not Found"}"#, kind: .retryable, code: Code.badResponse,
        flags: .counts),
    Case(
        call: deleteKey, status: 405, body: #"{"detail":"Method Not Allowed"}"#, kind: .retryable,
        code: Code.badResponse, flags: .counts),
]

private let refusals: [Case] = [
    Case(
        call: generate, status: 403, body: error("{'error': 'This is only available for: tags. \(licence)'}"),
        kind: .permanent, code: Code.enterpriseOnly),
    Case(
        call: generate, status: 500, body: error("Regenerating Virtual Keys is an Enterprise feature, \(licence)"),
        kind: .permanent, code: Code.enterpriseOnly),
    Case(
        call: addMember, status: 400, body: detail("Assigning team admins is a premium feature."), kind: .permanent,
        code: Code.enterpriseOnly),
    Case(
        call: generate, status: 403,
        body: error("{'error': 'Custom API key values are disabled by your administrator.'}"), kind: .permanent,
        code: Code.customKeysDisabled),
    Case(
        call: keyInfo, status: 403, body: error("You are not allowed to access this key's info."), kind: .permanent,
        code: Code.forbidden),
    Case(
        call: generate, status: 400, body: error("{'error': \"Invalid key format. Must start with 'sk-'.\"}"),
        kind: .permanent, code: Code.validation, confirmation: .probe),
    Case(
        call: generate, status: 400, body: error("{'error': 'max_budget must be a non-negative finite number.'}"),
        kind: .permanent, code: Code.validation, confirmation: .probe),
    Case(
        call: generate, status: 500, body: error("Invalid duration format"), kind: .permanent, code: Code.validation),
    Case(
        call: generate, status: 500, body: error("Organization doesn't exist in db. Organization=o."),
        kind: .permanent, code: Code.validation),
    Case(
        call: updateKey, status: 404, body: error("{'error': \"Team doesn't exist in db. Team=t.\"}", "auth_error"),
        kind: .permanent, code: Code.teamNotFound, confirmation: .probe),
    Case(
        call: patchModel, status: 400, body: error("{'error': \"Can't edit model. Model in config.\"}"),
        kind: .permanent, code: Code.validation, confirmation: .probe),
    Case(
        call: usage, status: 400, body: detail("Please provide start_date and end_date"), kind: .permanent,
        code: Code.validation, confirmation: .probe),
]

private func down(_ call: LiteLLMCall, _ status: Int, _ body: String) -> Case {
    Case(
        call: call, status: status, body: body, kind: .retryable, code: Code.dbDown,
        flags: call.isWrite ? [.counts, .unknown] : .counts)
}

private func downForCertain(_ call: LiteLLMCall, _ status: Int = 503, _ body: String = noDatabase) -> Case {
    Case(
        call: call, status: status, body: body, kind: .retryable, code: Code.dbDown, flags: [.counts, .opensAll])
}

private let databaseDown: [Case] = [
    downForCertain(keyList), downForCertain(generate), downForCertain(blockKey), downForCertain(teamInfo),
    downForCertain(usage),
    // Without any database configured.
    downForCertain(keyList, 400, error("No connected db.", "no_db_connection")),
    down(generate, 500, error("Server has closed the connection.")),
    down(keyInfo, 500, error("Server has closed the connection.")),
    down(deleteKey, 500, error(unreachable)), down(keyList, 500, error("Authentication Error, \(unreachable)")),
    down(newUser, 500, error(unreachable)), down(userInfo, 500, error(notConnected)),
    down(newTeam, 500, error(notConnected)), down(updateTeam, 500, error(notConnected)),
    down(usage, 500, detail("Failed to fetch analytics: \(notConnected)")),
    down(updateKey, 400, error("Authentication Error, \(unreachable)", "auth_error")),
    down(updateUser, 400, error("Authentication Error, \(unreachable)", "auth_error")),
    down(deleteModel, 400, error("Authentication Error, \(unreachable)", "auth_error")),
    // Releases that report it as a refused key.
    down(keyList, 401, error("Authentication Error, \(unreachable)", "auth_error")),
    down(keyList, 401, error("Authentication Error, All connection attempts failed", "auth_error")),
    down(teamInfo, 404, error("Team not found: Timed out fetching a new connection from the connection pool")),
    down(keyList, 500, detail("DB not connected. This endpoint needs a database")),
    down(.get("/health/readiness", about: .health), 503, #"{"status":"healthy","db":"disconnected"}"#),
]

private func upstream(_ call: LiteLLMCall, _ status: Int, _ body: String = "", code: String = Code.serverError) -> Case
{
    Case(
        call: call, status: status, body: body, kind: .retryable, code: code,
        flags: call.isWrite ? [.counts, .unknown] : .counts)
}

private func notLiteLLM(_ call: LiteLLMCall, _ status: Int, _ body: String) -> Case {
    Case(call: call, status: status, body: body, kind: .retryable, code: Code.badResponse, flags: .counts)
}

private let upstreamTrouble: [Case] = [
    upstream(generate, 500, error("{'error': 'Internal Server Error.'}")), upstream(keyInfo, 500),
    upstream(generate, 502, "<html>Bad Gateway</html>"), upstream(keyList, 503, "no healthy upstream"),
    upstream(generate, 504), upstream(keyList, 408), upstream(keyList, 425), upstream(generate, 599),
    Case(call: generate, status: 429, body: "slow down", kind: .retryable, code: Code.rateLimited),
    Case(
        call: modelInfo, status: 500, body: detail("LLM Model List not loaded in. Make sure you passed models"),
        kind: .retryable, code: Code.modelsNotLoaded),
    // Something in front of LiteLLM: nothing it says is about the object asked for.
    notLiteLLM(keyInfo, 404, "<html>404 page not found</html>"), notLiteLLM(teamInfo, 404, ""),
    notLiteLLM(deleteKey, 404, "default backend - 404"), notLiteLLM(userInfo, 403, "<html>Forbidden</html>"),
    notLiteLLM(updateKey, 400, "<html>Bad Request</html>"), notLiteLLM(keyInfo, 302, ""),
    notLiteLLM(keyInfo, 404, error("Something else is missing")),
    upstream(deleteTeam, 418, "", code: Code.badResponse),
]
