import Foundation
import Shared

/// A request taken apart.
struct FakeLiteLLMCall {
    let path: String
    let query: [String: String]
    let body: FakeLiteLLM.Row

    init(_ request: HTTPClientRequest) {
        let components = URLComponents(string: request.url)
        path = components?.path ?? ""
        query = Dictionary(
            (components?.queryItems ?? []).map { ($0.name, $0.value ?? "") }, uniquingKeysWith: { first, _ in first })
        let document = try? JSON.decoder.decode(JSONValue.self, from: Data(request.body))
        body = document?.objectValue ?? [:]
    }

    func text(_ member: String) -> String? { body[member]?.stringValue }
}

extension FakeLiteLLM.State {
    /// Carries the call out and answers it: status and body.
    mutating func answer(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        switch call.path {
        case "/key/generate": generate(call)
        case "/key/info": keyInfo(call)
        case "/key/list": keyList(call)
        case "/key/block": block(call, true)
        case "/key/unblock": block(call, false)
        case "/key/update": updateKey(call)
        case "/key/delete": deleteKeys(call)
        case "/user/new": createUser(call)
        case "/user/info": userInfo(call)
        case "/user/update": updateUser(call)
        case "/user/list": userList(call)
        case "/team/new": createTeam(call)
        case "/team/info": teamInfo(call)
        case "/team/update": updateTeam(call)
        case "/team/delete": deleteTeams(call)
        case "/team/member_add": addMember(call)
        case "/team/member_delete": removeMember(call)
        case "/v2/team/list": teamList(call)
        case "/v2/model/info": modelList(call)
        case "/v1/model/info": modelInfo(call)
        case "/model/new": createModel(call)
        case "/model/delete": deleteModel(call)
        case _ where call.path.hasPrefix("/model/") && call.path.hasSuffix("/update"): updateModel(call)
        case "/user/daily/activity": dailyActivity(call)
        case "/user/daily/activity/aggregated": activitySum(call)
        case "/spend/logs/v2": spendLogPage(call)
        default:
            if let hash = call.path.wholeMatch(of: /\/key\/([0-9a-f]+)\/reset_spend/)?.1 {
                resetSpend(String(hash), call)
            } else {
                (404, ["detail": "Not Found"])
            }
        }
    }

    // MARK: Keys

    private mutating func generate(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let chosen = makesOwnSecrets ? nil : call.text("key")
        let secret = chosen ?? "sk-\(UUID().uuidString)"
        guard secret.hasPrefix("sk-"), secret.count >= 16 else {
            return Self.error(400, "{'error': 'Invalid key format.'}")
        }
        if let alias = call.text("key_alias"), keys.values.contains(where: { $0["key_alias"]?.stringValue == alias }) {
            return Self.error(
                400, "Key with alias '\(alias)' already exists. Unique key aliases across all keys are required.")
        }
        if let budgets = call.body["model_max_budget"]?.objectValue, !budgets.isEmpty {
            return Self.error(403, "You must be a LiteLLM Enterprise user to use this feature.")
        }
        let hash = sha256Hex(secret)
        var row = call.body
        row["key"] = nil
        row["token"] = .string(hash)
        row["key_name"] = .string("sk-...\(secret.suffix(4))")
        row["created_at"] = .string(ISO8601.string(from: Date()))
        if let expiry = call.text("duration").flatMap(Self.expiry) { row["expires"] = expiry }
        // An upsert that changes nothing when the hash is there, and yet echoes the request.
        if keys[hash] == nil { keys[hash] = row }
        row["key"] = .string(secret)
        return (200, .object(row))
    }

    private func keyInfo(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        guard let hash = call.query["key"], var row = keys[hash] ?? deletedKeys[hash] else {
            return Self.error(404, "Key not found in database", type: "not_found_error")
        }
        let isBlocked = row["blocked"]?.boolValue ?? false
        row["status"] = keys[hash] == nil ? "deleted" : isBlocked ? "revoked" : "active"
        row["token"] = nil
        return (200, ["key": .string(hash), "info": .object(row)])
    }

    private func keyList(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let rows = keys.sorted { $0.key < $1.key }.map(\.value).filter { row in
            ["key_alias", "user_id", "team_id"].allSatisfy { member in
                call.query[member].map { row[member]?.stringValue == $0 } ?? true
            }
        }
        let page = call.query["page"].flatMap(Int.init) ?? 1
        let size = call.query["size"].flatMap(Int.init) ?? 10
        return (
            200,
            [
                "keys": .array(rows.dropFirst((page - 1) * size).prefix(size).map(JSONValue.object)),
                "total_count": .int(rows.count), "current_page": .int(page),
                "total_pages": .int((rows.count + size - 1) / size),
            ]
        )
    }

    private mutating func block(_ call: FakeLiteLLMCall, _ blocked: Bool) -> (Int, JSONValue) {
        guard let hash = call.text("key"), keys[hash] != nil else { return Self.error(404, "Key not found.") }
        keys[hash]?["blocked"] = .bool(blocked)
        return (200, .object(keys[hash] ?? [:]))
    }

    private mutating func updateKey(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        guard let hash = call.text("key"), keys[hash] != nil else { return Self.error(404, "Key not found.") }
        for (member, value) in call.body where !["key", "duration"].contains(member) {
            keys[hash]?[member] = value.isNull ? .none : .some(value)
        }
        if let duration = call.body["duration"] {
            keys[hash]?["expires"] = duration.stringValue.flatMap(Self.expiry)
        }
        return (200, .object(keys[hash] ?? [:]))
    }

    private static func expiry(after duration: String) -> JSONValue? {
        Int(duration.dropLast()).map { .string(ISO8601.string(from: Date() + Double($0))) }
    }

    private mutating func resetSpend(_ hash: String, _ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        guard let row = keys[hash] else { return Self.error(404, "Key not found.") }
        keys[hash]?["spend"] = call.body["reset_to"]
        return (
            200,
            [
                "key_hash": .string(hash), "spend": call.body["reset_to"] ?? 0,
                "previous_spend": row["spend"] ?? 0,
            ]
        )
    }

    private mutating func deleteKeys(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let asked = call.body["keys"]?.arrayValue?.compactMap(\.stringValue) ?? []
        let found = asked.filter { keys[$0] != nil }
        guard !found.isEmpty else { return Self.error(404, "{'error': 'No keys found'}") }
        for hash in found { deletedKeys[hash] = keys.removeValue(forKey: hash) }
        return (200, ["deleted_keys": call.body["keys"] ?? []])
    }

    // MARK: Users

    private mutating func createUser(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let id = call.text("user_id") ?? UUID().uuidString
        guard users[id] == nil else { return Self.error(409, "{'error': 'User with id \(id) already exists'}") }
        let email = call.text("user_email")?.lowercased()
        if let email, users.values.contains(where: { $0["user_email"]?.stringValue?.lowercased() == email }) {
            return Self.error(409, "{'error': 'User with email \(email) already exists'}")
        }
        var row = call.body
        row["teams"] = []
        users[id] = row
        row["key"] = call.body["auto_create_key"]?.boolValue == false ? "" : "sk-made-by-litellm-itself"
        return (200, .object(row))
    }

    private func userInfo(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let id = call.query["user_id"] ?? ""
        guard let row = users[id] else { return Self.error(404, "User \(id) not found") }
        return (200, ["user_id": .string(id), "user_info": .object(row), "keys": [], "teams": []])
    }

    private mutating func updateUser(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let id = call.text("user_id") ?? ""
        var row = users[id] ?? ["teams": []]
        for (member, value) in call.body { row[member] = value.isNull ? .none : .some(value) }
        users[id] = row
        return (200, ["user_id": .string(id), "data": .object(row)])
    }

    private func userList(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let part = call.query["user_email"]?.lowercased()
        let rows = users.sorted { $0.key < $1.key }.map(\.value).filter { row in
            part.map { row["user_email"]?.stringValue?.lowercased().contains($0) ?? false } ?? true
        }
        return Self.page("users", rows, call)
    }

    /// A page of a list as `/user/list` and `/v2/team/list` give it.
    private static func page(
        _ member: String, _ rows: [FakeLiteLLM.Row], _ call: FakeLiteLLMCall
    ) -> (Int, JSONValue) {
        let page = call.query["page"].flatMap(Int.init) ?? 1
        let size = call.query["page_size"].flatMap(Int.init) ?? 25
        return (
            200,
            [
                member: .array(rows.dropFirst((page - 1) * size).prefix(size).map(JSONValue.object)),
                "total": .int(rows.count), "page": .int(page), "page_size": .int(size),
                "total_pages": .int((rows.count + size - 1) / size),
            ]
        )
    }

    // MARK: Teams

    private mutating func createTeam(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let id = call.text("team_id") ?? UUID().uuidString
        guard teams[id] == nil else {
            return Self.error(400, "{'error': 'Team id = \(id) already exists. Please use a different team id.'}")
        }
        var row = call.body
        row["members_with_roles"] = [["user_id": "default_user_id", "role": "admin"]]
        teams[id] = row
        return (200, .object(row))
    }

    private func teamInfo(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let id = call.query["team_id"] ?? ""
        guard let row = teams[id] else {
            return Self.error(404, "{'message': 'Team not found, passed team id: \(id).'}", type: "auth_error")
        }
        return (200, ["team_id": .string(id), "team_info": .object(row), "keys": [], "team_memberships": []])
    }

    private mutating func updateTeam(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let id = call.text("team_id") ?? ""
        guard teams[id] != nil else { return Self.error(404, "{'error': 'Team not found, passed team_id=\(id)'}") }
        for (member, value) in call.body { teams[id]?[member] = value.isNull ? .none : .some(value) }
        return (200, ["team_id": .string(id), "data": .object(teams[id] ?? [:])])
    }

    private mutating func addMember(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let id = call.text("team_id") ?? ""
        guard let team = teams[id], let user = call.body["member"]?["user_id"]?.stringValue else {
            return (404, ["detail": ["error": .string("Team doesn't exist in db. Team=\(id).")]])
        }
        let members = team["members_with_roles"]?.arrayValue ?? []
        guard !members.contains(where: { $0["user_id"]?.stringValue == user }) else {
            return Self.error(
                400, "User already in team. Member: user_id=\(user)", type: "team_member_already_in_team")
        }
        teams[id]?["members_with_roles"] = .array(members + [["user_id": .string(user), "role": "user"]])
        var row = users[user] ?? ["user_id": .string(user)]
        row["teams"] = .array((row["teams"]?.arrayValue ?? []) + [.string(id)])
        users[user] = row
        return (200, .object(teams[id] ?? [:]))
    }

    private mutating func deleteTeams(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let ids = call.body["team_ids"]?.arrayValue?.compactMap(\.stringValue) ?? []
        if let unknown = ids.first(where: { teams[$0] == nil }) {
            return (404, ["detail": ["error": .string("Team not found, passed team_id=\(unknown)")]])
        }
        for id in ids {
            teams[id] = nil
            for (hash, row) in keys where row["team_id"]?.stringValue == id {
                deletedKeys[hash] = row
                keys[hash] = nil
            }
        }
        return (200, ["deleted_teams": .array(ids.map(JSONValue.string))])
    }

    private mutating func removeMember(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let id = call.text("team_id") ?? ""
        guard let team = teams[id] else {
            return (400, ["detail": ["error": .string("Team id=\(id) does not exist in db")]])
        }
        let members = team["members_with_roles"]?.arrayValue ?? []
        let others = members.filter { $0["user_id"]?.stringValue != call.text("user_id") }
        guard others.count < members.count else { return (400, ["detail": ["error": "User not found in team"]]) }
        teams[id]?["members_with_roles"] = .array(others)
        return (200, .object(teams[id] ?? [:]))
    }

    private func teamList(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let rows = teams.sorted { $0.key < $1.key }.filter { id, _ in call.query["team_id"].map { $0 == id } ?? true }
        return Self.page("teams", rows.map(\.value), call)
    }

    static func error(
        _ status: Int, _ message: String, type: String = "internal_server_error"
    ) -> (Int, JSONValue) {
        (
            status,
            [
                "error": [
                    "message": .string(message), "type": .string(type), "param": nil, "code": .string("\(status)"),
                ]
            ]
        )
    }
}
