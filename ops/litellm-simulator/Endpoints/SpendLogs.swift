/// GET /spend/logs/v2.
enum SpendLogs {
    /// Pages of calls, newest first; the end date is inclusive.
    static func pages(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let number = try question.whole("page", default: 1, in: 1...Int.max)
        let size = try question.whole("page_size", default: 50, in: 1...1000)
        guard let from = question.parameter("start_date"), let until = question.parameter("end_date") else {
            throw .error(400, "Start date and end date are required", type: "bad_request", param: "None")
        }
        guard let first = moment(from, endOfDay: false), let last = moment(until, endOfDay: true) else {
            throw .error(400, "Invalid date format", type: "bad_request", param: "None")
        }
        let entries = state.ledger.entries.reversed().filter { entry in
            first <= entry.started && entry.started <= last && matches(entry, question)
        }
        let page = Page(of: entries, number: number, size: size)
        return Answer([
            "data": .array(page.elements.map(row)), "total": .integer(page.total), "page": .integer(number),
            "page_size": .integer(size), "total_pages": .integer(page.pages), "total_is_capped": false,
        ])
    }

    /// `YYYY-MM-DD HH:MM:SS`, or a day alone.
    private static func moment(_ text: String, endOfDay: Bool) -> Moment? {
        let parts = text.split(whereSeparator: { $0 == " " || $0 == "T" })
        guard let first = parts.first, let day = CivilDay(first) else { return nil }
        guard parts.count > 1 else { return endOfDay ? day.start.adding(seconds: 86_399) : day.start }
        let time = parts[1].split(separator: ":").compactMap { Int($0) }
        guard time.count == 3 else { return nil }
        let seconds = time[0] * 3600 + time[1] * 60 + time[2]
        return Moment(milliseconds: day.start.adding(seconds: seconds).milliseconds + (endOfDay ? 999 : 0))
    }

    private static func matches(_ entry: Ledger.Entry, _ question: Question) -> Bool {
        let wanted: [(String, String?)] = [
            ("user_id", entry.userID), ("team_id", entry.teamID), ("api_key", entry.token),
            ("request_id", entry.requestID), ("model", entry.model), ("model_id", entry.modelID),
            ("model_group", entry.modelGroup), ("end_user", entry.endUser),
            ("status_filter", entry.error == nil ? "success" : "failure"),
        ]
        if let alias = question.parameter("key_alias") {
            guard entry.keyAlias?.lowercased().contains(alias.lowercased()) ?? false else { return false }
        }
        return wanted.allSatisfy { name, value in question.parameter(name).map { $0 == value } ?? true }
    }

    private static func row(_ entry: Ledger.Entry) -> JSON {
        let status = entry.error == nil ? "success" : "failure"
        let ended = Moment(milliseconds: entry.started.milliseconds + entry.milliseconds).logged
        return [
            "request_id": .string(entry.requestID),
            "call_type": entry.endpoint == "/embeddings" ? "aembedding" : "acompletion",
            "api_key": .string(entry.token), "spend": .double(entry.spend),
            "total_tokens": .integer(entry.promptTokens + entry.completionTokens),
            "prompt_tokens": .integer(entry.promptTokens), "completion_tokens": .integer(entry.completionTokens),
            "startTime": entry.started.logged, "endTime": ended, "completionStartTime": ended,
            "model": .string(entry.model), "model_id": .string(entry.modelID),
            "model_group": .string(entry.modelGroup), "custom_llm_provider": .string(entry.provider), "api_base": "",
            "user": .string(entry.userID ?? ""), "team_id": JSON(entry.teamID), "organization_id": "",
            "end_user": .string(entry.endUser ?? ""), "cache_hit": "None", "cache_key": "Cache OFF",
            "request_tags": [], "requester_ip_address": "127.0.0.1", "session_id": .string(entry.callID),
            "status": .string(status), "litellm_call_id": .string(entry.callID),
            "request_duration_ms": .integer(entry.milliseconds), "agent_id": nil,
            "metadata": .object(metadata(entry, status: status)),
        ]
    }

    private static func metadata(_ entry: Ledger.Entry, status: String) -> JSONObject {
        var metadata: JSONObject = [
            "status": .string(status), "user_api_key": .string(entry.token), "user_api_key_alias": JSON(entry.keyAlias),
            "user_api_key_user_id": JSON(entry.userID), "user_api_key_team_id": JSON(entry.teamID),
            "litellm_call_id": .string(entry.callID),
        ]
        if let error = entry.error { metadata["error_information"] = ["error_message": .string(error)] }
        return metadata
    }
}
