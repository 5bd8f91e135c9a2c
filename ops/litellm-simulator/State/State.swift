/// All that a LiteLLM would keep in its database, in memory. It is a value behind one lock: every endpoint is a
/// function of it, so each request takes effect at once and whole.
struct State: Sendable {
    var keys = KeyTable()
    var deletedKeys: [String: DeletedKey] = [:]
    var users: [String: UserRow] = [:]
    var teams: [String: TeamRow] = [:]
    var deletedTeams: [DeletedTeam] = []
    var models: [ModelRow]
    var ledger = Ledger()
    var limiter = RateLimiter()
    /// Seconds the clock was moved forward.
    var clockOffset = 0
    private var lastSequence = 0

    init() { models = DefaultModels.rows(at: Moment(nowPlus: 0)) }

    var now: Moment { Moment(nowPlus: clockOffset) }

    mutating func nextSequence() -> Int {
        lastSequence += 1
        return lastSequence
    }

    /// Moves the clock, and starts anew every budget that has become due.
    mutating func advanceClock(seconds: Int) {
        clockOffset += seconds
        let now = now
        keys.forEach { $0.resetBudgetIfDue(now: now) }
        for id in users.keys { users[id]?.resetBudgetIfDue(now: now) }
        for id in teams.keys { teams[id]?.resetBudgetIfDue(now: now) }
    }

    /// One of the deployments that serve the public name `model`, another each time as in LiteLLM.
    func deployment(of model: String) -> ModelRow? { models.filter { $0.name == model && !$0.blocked }.randomElement() }

    /// Takes `userID` out of the team's members and the team out of the user's list.
    mutating func removeMember(_ userID: String, fromTeam teamID: String) {
        teams[teamID]?.members.removeAll { $0.userID == userID }
        teams[teamID]?.memberships.removeAll { $0.userID == userID }
        users[userID]?.teams.removeAll { $0 == teamID }
    }

    /// Deletes the live key `token` and remembers it.
    mutating func deleteKey(_ token: String, by question: Question) {
        guard let row = keys.remove(token) else { return }
        deletedKeys[token] = DeletedKey(
            id: Identifier.uuid(), row: row, deletedAt: now, deletedBy: JSON(question.caller.userID),
            deletedByKey: question.caller.key?.token ?? Ledger.masterKey,
            changedBy: question.call.headers.value(of: "litellm-changed-by"))
    }
}

/// The live keys, found by token and by alias.
struct KeyTable: Sendable {
    private var rows: [String: KeyRow] = [:]
    private var tokensByAlias: [String: Set<String>] = [:]

    var count: Int { rows.count }
    var all: [KeyRow] { Array(rows.values) }
    var aliases: [String] { tokensByAlias.keys.sorted() }

    subscript(token: String) -> KeyRow? { rows[token] }

    func tokens(alias: String) -> Set<String> { tokensByAlias[alias] ?? [] }

    /// Puts `row` in, in place of the one with the same token if there is one.
    mutating func put(_ row: KeyRow) {
        _ = remove(row.token)
        rows[row.token] = row
        if let alias = row.alias { tokensByAlias[alias, default: []].insert(row.token) }
    }

    @discardableResult
    mutating func remove(_ token: String) -> KeyRow? {
        guard let row = rows.removeValue(forKey: token) else { return nil }
        if let alias = row.alias {
            tokensByAlias[alias]?.remove(token)
            if tokensByAlias[alias]?.isEmpty == true { tokensByAlias[alias] = nil }
        }
        return row
    }

    /// Changes a key where it is; the alias must stay.
    mutating func update(_ token: String, _ change: (inout KeyRow) -> Void) {
        guard var row = rows[token] else { return }
        change(&row)
        rows[token] = row
    }

    /// Changes every key where it is; the aliases must stay.
    mutating func forEach(_ change: (inout KeyRow) -> Void) {
        for token in rows.keys { update(token, change) }
    }
}
