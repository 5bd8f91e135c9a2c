extension LiteLLMClient {
    /// One page of the usage of one day, `YYYY-MM-DD` in UTC. A page is a page of LiteLLM's table rows: all of its
    /// numbers cover that page only.
    package func dailyActivity(date: String, page: Int) async throws -> LiteLLMDailyActivityPage {
        let answer = try await activityPage(date: date, page: page)
        var ledger = DailyActivityLedger()
        for day in answer.days { ledger.add(day) }
        return LiteLLMDailyActivityPage(
            page: answer.page, totalPages: answer.totalPages, hasMore: answer.hasMore, activity: ledger.activity)
    }

    /// The usage of one day, `YYYY-MM-DD` in UTC, all pages added up.
    /// - Throws: ``LiteLLMError``; `.retryable` `litellm_list_incomplete` when rows kept being added in between.
    package func dailyActivity(date: String) async throws -> LiteLLMDailyActivity {
        // Rows have no stable place while new ones come in: a walk counts only if the number of pages stayed.
        for _ in 1...3 {
            if let activity = try await walkActivity(date: date) { return activity }
        }
        throw LiteLLMError.listIncomplete("GET /user/daily/activity")
    }

    private func walkActivity(date: String) async throws -> LiteLLMDailyActivity? {
        var ledger = DailyActivityLedger()
        var page = 1
        var totalPages: Int?
        while true {
            let answer = try await activityPage(date: date, page: page)
            guard answer.totalPages == totalPages ?? answer.totalPages else { return nil }
            totalPages = answer.totalPages
            for day in answer.days { ledger.add(day) }
            guard answer.hasMore else { return ledger.activity }
            page += 1
            guard page <= settings.maxPages else {
                throw LiteLLMError.listIncomplete("GET /user/daily/activity")
            }
        }
    }

    private func activityPage(date: String, page: Int) async throws -> DailyActivityAnswer {
        let query = [
            ("start_date", date), ("end_date", date), ("page", "\(page)"),
            ("page_size", "\(settings.usagePageSize)"),
        ]
        return try await perform(
            .get("/user/daily/activity", query, about: .usage), as: DailyActivityAnswer.self)
    }
}
