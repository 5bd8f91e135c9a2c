/// Reads fault rules from JSON.
///
///     {"name": "slow creates", "for_ms": 60000,
///      "match": {"method": "POST", "path": "/key", "path_regex": "^/key/(generate|update)$",
///                "body_contains": "job-7", "percent": 20, "count": 5},
///      "action": {"kind": "status", "status": 500, "when": "after"}}
///
/// `kind` is one of `latency` (`ms`), `status` (`status`, `body`, `retry_after` in seconds), `drop`, `cut`, `garbage`
/// (`body`), `empty_models`, `database_down`, `hold` (`hold`: the name to release it by) and `down` (`how`: `drop` or
/// `refuse`). `when` is `before` or `after` the effect; without it a request is hit before. What is left out of `match`
/// matches everything.
struct FaultReader {
    private static let ruleMembers: Set<String> = ["name", "match", "action", "for_ms", "id", "hits", "remaining"]
    private static let matchMembers: Set<String> = [
        "method", "path", "path_regex", "body_contains", "percent", "count",
    ]
    private static let actionMembers: Set<String> = [
        "kind", "when", "ms", "status", "body", "retry_after", "hold", "how",
    ]

    /// Reads one rule that will be known as `id`.
    ///
    /// - Throws: 422 with a sentence that says what is wrong.
    static func read(_ json: JSON, id: Int) throws(Refusal) -> FaultRule {
        guard let rule = json.members else { throw wrong("a fault is an object with match and action") }
        try check(rule, ruleMembers, "a fault")
        let match = try match(rule["match"] ?? [:])
        let action = try action(rule["action"] ?? nil, id: id)
        var ends: ContinuousClock.Instant?
        if let life = rule["for_ms"], !life.isNull {
            guard let milliseconds = life.wholeNumber, milliseconds > 0 else {
                throw wrong("for_ms is a whole number above 0")
            }
            ends = .now + .milliseconds(milliseconds)
        }
        if case .down(refuses: true) = action.kind, ends == nil {
            throw wrong("down with how=refuse needs for_ms, because nobody could take it back over a closed port")
        }
        return FaultRule(
            id: id, name: rule["name"]?.string, match: match, action: action, source: rule, ends: ends)
    }

    private static func match(_ json: JSON) throws(Refusal) -> FaultMatch {
        guard let members = json.members else { throw wrong("match is an object") }
        try check(members, matchMembers, "match")
        var match = FaultMatch()
        match.method = members["method"]?.string?.uppercased()
        match.path = members["path"]?.string
        match.bodyContains = members["body_contains"]?.string
        if let pattern = members["path_regex"]?.string {
            do {
                _ = try Regex(pattern)
            } catch {
                throw wrong("path_regex is no regular expression: \(error)")
            }
            match.pathRegex = pattern
        }
        if let percent = members["percent"], !percent.isNull {
            guard let number = percent.number, (0...100).contains(number) else { throw wrong("percent is 0 to 100") }
            match.percent = number
        }
        if let count = members["count"], !count.isNull {
            guard let number = count.wholeNumber, number > 0 else { throw wrong("count is a whole number above 0") }
            match.count = number
        }
        return match
    }

    private static func action(_ json: JSON, id: Int) throws(Refusal) -> FaultAction {
        guard let members = json.members, let word = members["kind"]?.string else {
            throw wrong("action is an object with a kind")
        }
        try check(members, actionMembers, "action")
        let when = members["when"]?.string ?? "before"
        guard let phase = FaultAction.Phase(rawValue: when) else { throw wrong("when is before or after") }
        // A body can be spoilt, and a list emptied, only where there is one.
        let needsAnswer = ["cut", "garbage", "empty_models"].contains(word)
        return FaultAction(
            kind: try kind(word, members, id: id), phase: needsAnswer && members["when"] == nil ? .after : phase)
    }

    private static func kind(_ word: String, _ members: JSONObject, id: Int) throws(Refusal) -> FaultAction.Kind {
        switch word {
        case "latency":
            guard let ms = members["ms"]?.wholeNumber, ms >= 0 else { throw wrong("latency needs ms, a whole number") }
            return .latency(milliseconds: ms)
        case "status": return .status(try answer(members))
        case "drop": return .drop
        case "cut": return .cut
        case "garbage":
            let text = members["body"].map { $0.string ?? $0.text } ?? "{\"unfinished\": "
            return .garbage(Answer(status: 200, contentType: "application/json", body: Array(text.utf8)))
        case "empty_models": return .emptyModels
        case "database_down": return .databaseDown
        case "hold": return .hold(name: members["hold"]?.string ?? "\(id)")
        case "down":
            let how = members["how"]?.string ?? "drop"
            guard how == "drop" || how == "refuse" else { throw wrong("how is drop or refuse") }
            return .down(refuses: how == "refuse")
        default:
            throw wrong(
                "kind is latency, status, drop, cut, garbage, empty_models, database_down, hold or down")
        }
    }

    private static func answer(_ members: JSONObject) throws(Refusal) -> Answer {
        guard let status = members["status"]?.wholeNumber, (100...599).contains(status) else {
            throw wrong("status needs status, 100 to 599")
        }
        var headers: [(name: String, value: String)] = []
        if let seconds = members["retry_after"]?.number { headers.append(("retry-after", "\(Int(seconds))")) }
        switch members["body"] {
        case .string(let text):
            return Answer(
                status: status, contentType: "text/plain", body: Array(text.utf8), headers: headers)
        case .some(let body) where !body.isNull: return Answer(body, status: status, headers: headers)
        default: break
        }
        let type = status == 429 ? "throttling_error" : "internal_server_error"
        return Refusal.error(status, "Injected fault", type: type, headers: headers).answer
    }

    private static func check(_ members: JSONObject, _ known: Set<String>, _ what: String) throws(Refusal) {
        guard let stranger = members.keys.sorted().first(where: { !known.contains($0) }) else { return }
        throw wrong("\(what) has no member \(stranger); known are \(known.sorted().joined(separator: ", "))")
    }

    private static func wrong(_ message: String) -> Refusal { .detail(422, message) }
}
