/// GET /user/daily/activity and its aggregated form.
enum Activity {
    /// Pages of *table rows*: every number of an answer covers the rows of its page only.
    static func daily(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let number = try question.whole("page", default: 1, in: 1...Int.max)
        let size = try question.whole("page_size", default: 50, in: 1...1000)
        let page = Page(of: try rows(state, question), number: number, size: size)
        return answer(page.elements, state, page: number, pages: page.pages)
    }

    /// The whole range at once.
    static func aggregated(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let rows = try rows(state, question)
        return answer(rows, state, page: 1, pages: rows.isEmpty ? 0 : 1)
    }

    private static func rows(_ state: State, _ question: Question) throws(Refusal) -> [Ledger.DailyRow] {
        guard let from = question.parameter("start_date"), let until = question.parameter("end_date") else {
            throw .detail(400, "Please provide start_date and end_date")
        }
        guard let first = CivilDay(from), let last = CivilDay(until) else {
            throw .detail(400, "start_date and end_date must be valid YYYY-MM-DD dates")
        }
        var user = question.parameter("user_id")
        if let own = question.caller.key {
            guard own.userID != nil else {
                throw .detail(
                    403,
                    "Service-account keys cannot query user analytics. Use a user-bound key, or call as a proxy admin."
                )
            }
            user = own.userID
        }
        return state.ledger.daily.values.filter { row in
            (first.number...max(first.number, last.number)).contains(row.key.day.number) && first <= last
                && (user == nil || row.key.userID == user)
                && (question.parameter("api_key").map { $0 == row.key.token } ?? true)
                && (question.parameter("model").map { $0 == row.key.model } ?? true)
        }
        .sorted { ($1.key.day, $0.sequence) < ($0.key.day, $1.sequence) }
    }

    private static func answer(_ rows: [Ledger.DailyRow], _ state: State, page: Int, pages: Int) -> Answer {
        let days = Dictionary(grouping: rows) { $0.key.day }.sorted { $0.key > $1.key }
        let results = days.map { day, rows in
            JSON.object([
                "date": .string(day.text), "metrics": .object(sum(rows).members()),
                "breakdown": .object(breakdown(rows, state)),
            ])
        }
        let metadata = sum(rows).members(prefix: "total_").merged(with: [
            "page": .integer(page), "total_pages": .integer(pages), "has_more": .bool(page < pages),
            "api_key_limit": nil, "total_api_keys": nil, "entity_total_api_keys": nil,
        ])
        return Answer(["results": .array(results), "metadata": .object(metadata)])
    }

    private static func sum(_ rows: [Ledger.DailyRow]) -> Metrics {
        rows.reduce(into: Metrics()) { $0.add($1.metrics) }
    }

    private static func breakdown(_ rows: [Ledger.DailyRow], _ state: State) -> JSONObject {
        func grouped(_ by: (Ledger.DailyKey) -> String, _ metadata: (String) -> JSONObject = { _ in [:] }) -> JSON {
            let groups = Dictionary(grouping: rows) { by($0.key) }
            return .object(
                JSONObject(
                    uniqueKeysWithValues: groups.filter { !$0.key.isEmpty }.map { name, rows in
                        (
                            name,
                            .object([
                                "metrics": .object(sum(rows).members()), "metadata": .object(metadata(name)),
                                "api_key_breakdown": keys(rows, state),
                            ])
                        )
                    }))
        }
        return [
            "mcp_servers": [:], "models": grouped(\.model), "model_groups": grouped(\.modelGroup),
            "providers": grouped(\.provider), "endpoints": grouped(\.endpoint), "api_keys": keys(rows, state),
            "entities": grouped({ $0.userID ?? "Unassigned" }) { id in
                guard id != "Unassigned" else { return [:] }
                return ["user_email": JSON(state.users[id]?.email), "user_alias": JSON(state.users[id]?.alias)]
            },
        ]
    }

    private static func keys(_ rows: [Ledger.DailyRow], _ state: State) -> JSON {
        .object(
            JSONObject(
                uniqueKeysWithValues: Dictionary(grouping: rows) { $0.key.token }.map { token, rows in
                    (
                        token,
                        .object([
                            "metrics": .object(sum(rows).members()),
                            "metadata": .object(about(token, userID: rows[0].key.userID, state)),
                        ])
                    )
                }))
    }

    private static func about(_ token: String, userID: String?, _ state: State) -> JSONObject {
        let live = state.keys[token]
        let key = live ?? state.deletedKeys[token]?.row
        let user = key == nil ? userID : key?.userID
        return [
            "key_alias": JSON(key?.alias), "team_id": JSON(key?.teamID), "user_id": JSON(user),
            "user_email": JSON(user.flatMap { state.users[$0]?.email }), "key_exists": .bool(live != nil),
        ]
    }
}
