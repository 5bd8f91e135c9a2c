extension LiteLLMClient {
    /// Walks of one day before it is put off.
    private static let walks = 3

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
    ///
    /// LiteLLM sorts its rows by random ids: one that comes in while the pages are walked moves others across their
    /// borders, and they count twice or not at all, mostly with the number of pages as it was. So a walk over several
    /// pages counts only if the number stayed; and, where the day `isOver`, if it adds up to LiteLLM's own sums.
    ///
    /// - Parameter isOver: whether the day takes no more usage; of today the sum has moved on when it is asked for.
    /// - Throws: ``LiteLLMError``; `.retryable` `litellm_list_incomplete` when rows kept being added in between.
    package func dailyActivity(date: String, isOver: Bool = false) async throws -> LiteLLMDailyActivity {
        for _ in 1...Self.walks {
            guard let walk = try await walkActivity(date: date) else { continue }
            if isOver, walk.pages > 1, let sum = try await activitySum(date: date),
                !sum.agrees(with: walk.ledger.activity)
            {
                continue
            }
            return try await activityByProvider(walk.ledger, date: date, isOver: isOver)
        }
        throw LiteLLMError.listIncomplete("GET /user/daily/activity")
    }

    /// All pages of a day; nil where their number changed on the way.
    ///
    /// - Parameter model: of a deployment, not the public name; nil for all usage.
    func walkActivity(
        date: String, model: String? = nil
    ) async throws -> (ledger: DailyActivityLedger, pages: Int)? {
        var ledger = DailyActivityLedger()
        var page = 1
        var totalPages: Int?
        while true {
            let answer = try await activityPage(date: date, page: page, model: model)
            guard answer.totalPages == totalPages ?? answer.totalPages else { return nil }
            totalPages = answer.totalPages
            for day in answer.days { ledger.add(day) }
            guard answer.hasMore else { return (ledger, page) }
            page += 1
            guard page <= settings.maxPages else {
                throw LiteLLMError.listIncomplete("GET /user/daily/activity")
            }
        }
    }

    /// What LiteLLM itself makes of the day; nil from a release that does not.
    func activitySum(date: String) async throws -> DailyActivitySum? {
        var call = LiteLLMCall.get(
            "/user/daily/activity/aggregated", [("start_date", date), ("end_date", date)], about: .usage)
        call.isInEveryRelease = false
        let answer = try await performOrNil(
            call, as: DailyActivityAnswer.self, nilFor: LiteLLMError.Code.noSuchRoute)
        return answer.map { DailyActivitySum($0.days) }
    }

    private func activityPage(date: String, page: Int, model: String? = nil) async throws -> DailyActivityAnswer {
        var query = [
            ("start_date", date), ("end_date", date), ("page", "\(page)"),
            ("page_size", "\(settings.usagePageSize)"),
        ]
        if let model { query.append(("model", model)) }
        return try await perform(
            .get("/user/daily/activity", query, about: .usage), as: DailyActivityAnswer.self)
    }
}

/// LiteLLM's own sums of a day.
struct DailyActivitySum: Sendable, Equatable {
    var total = LiteLLMUsageMetrics()
    /// By hash; LiteLLM names only so many.
    var keys: [String: LiteLLMUsageMetrics] = [:]

    init(_ days: [ActivityDay]) {
        for day in days {
            total += day.metrics
            for (key, entry) in day.keys ?? [:] { keys[key, default: .init()] += entry.metrics }
        }
    }

    /// By key as well: a row that counts twice may have the figures of the one that does not count.
    func agrees(with activity: LiteLLMDailyActivity) -> Bool {
        guard activity.total.agrees(with: total) else { return false }
        let walked = Dictionary(grouping: activity.rows) { $0.keyHash ?? "" }.mapValues { rows in
            rows.reduce(into: LiteLLMUsageMetrics()) { $0 += $1.metrics }
        }
        return keys.allSatisfy { (walked[$0.key] ?? .init()).agrees(with: $0.value) }
    }
}
