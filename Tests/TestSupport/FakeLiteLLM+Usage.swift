import Shared

extension FakeLiteLLM.State {
    func dailyActivity(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let page = call.query["page"].flatMap(Int.init) ?? 1
        let pages = activity[call.query["start_date"] ?? ""] ?? []
        let paging: JSONValue = [
            "page": .int(page), "total_pages": .int(pages.count), "has_more": .bool(page < pages.count),
        ]
        guard pages.indices.contains(page - 1) else { return (200, ["results": [], "metadata": paging]) }
        return (200, ["results": [pages[page - 1]], "metadata": paging])
    }

    /// The day as a whole: what its pages hold, each as a part of its own.
    func activitySum(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let pages = activity[call.query["start_date"] ?? ""] ?? []
        return (200, ["results": .array(pages), "metadata": ["page": 1, "total_pages": 1, "has_more": false]])
    }

    func spendLogPage(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        func moment(_ name: String) -> String { (call.query[name] ?? "").replacing(" ", with: "T") }
        let size = call.query["page_size"].flatMap(Int.init) ?? 50
        let page = call.query["page"].flatMap(Int.init) ?? 1
        let start = moment("start_date")
        let end = moment("end_date")
        func time(_ row: FakeLiteLLM.Row) -> String { row["startTime"]?.stringValue ?? "" }
        // Times of one form sort as texts do.
        let found = spendLogs.filter { time($0) >= start && String(time($0).prefix(19)) <= end }
            .sorted { time($0) < time($1) }
        let shown = found.dropFirst((page - 1) * size).prefix(size).map { JSONValue.object($0) }
        return (
            200,
            [
                "data": .array(Array(shown)), "total": .int(found.count), "page": .int(page), "page_size": .int(size),
                "total_pages": .int((found.count + size - 1) / size), "total_is_capped": false,
            ]
        )
    }
}
