/// Who used what, and what it cost: the spend logs and the daily table.
struct Ledger: Sendable {
    /// What stands in place of a token for calls with the master key.
    static let masterKey = "litellm_proxy_master_key"
    /// Log rows kept; the oldest go first. The daily table is not affected.
    private static let mostLogs = 50_000

    /// One call to a model, refused ones included.
    struct Entry: Sendable {
        let requestID: String
        let callID: String
        let token: String
        let keyAlias: String?
        let userID: String?
        let teamID: String?
        let endUser: String?
        let endpoint: String
        let model: String
        let modelID: String
        let modelGroup: String
        let provider: String
        let promptTokens: Int
        let completionTokens: Int
        let spend: Double
        let started: Moment
        let milliseconds: Int
        /// The message of the refusal; nil when the call succeeded.
        let error: String?
    }

    /// What one row of the daily table is about.
    struct DailyKey: Hashable, Sendable {
        let day: CivilDay
        let userID: String?
        let token: String
        let model: String
        let modelGroup: String
        let provider: String
        let endpoint: String
    }

    struct DailyRow: Sendable {
        let key: DailyKey
        var metrics = Metrics()
        let sequence: Int
    }

    private(set) var entries: [Entry] = []
    private(set) var daily: [DailyKey: DailyRow] = [:]

    mutating func record(_ entry: Entry) {
        if entries.count >= Self.mostLogs { entries.removeFirst(Self.mostLogs / 10) }
        entries.append(entry)
        let key = DailyKey(
            day: entry.started.day, userID: entry.userID, token: entry.token, model: entry.model,
            modelGroup: entry.modelGroup, provider: entry.provider, endpoint: entry.endpoint)
        var row = daily[key] ?? DailyRow(key: key, sequence: daily.count)
        row.metrics.add(entry)
        daily[key] = row
    }
}

/// Sums over calls.
struct Metrics: Sendable {
    var spend = 0.0
    var promptTokens = 0
    var completionTokens = 0
    var successful = 0
    var failed = 0
    var milliseconds = 0

    mutating func add(_ entry: Ledger.Entry) {
        spend += entry.spend
        promptTokens += entry.promptTokens
        completionTokens += entry.completionTokens
        successful += entry.error == nil ? 1 : 0
        failed += entry.error == nil ? 0 : 1
        milliseconds += entry.error == nil ? entry.milliseconds : 0
    }

    mutating func add(_ other: Metrics) {
        spend += other.spend
        promptTokens += other.promptTokens
        completionTokens += other.completionTokens
        successful += other.successful
        failed += other.failed
        milliseconds += other.milliseconds
    }

    /// The members of a `metrics` object, and with the prefix `total_` of a page's `metadata`.
    func members(prefix: String = "") -> JSONObject {
        let counts: [(String, Int)] = [
            ("prompt_tokens", promptTokens), ("completion_tokens", completionTokens),
            ("api_requests", successful + failed), ("successful_requests", successful), ("failed_requests", failed),
            ("timed_requests", successful),
            ("cache_read_input_tokens", 0), ("cache_creation_input_tokens", 0), ("compression_saved_tokens", 0),
        ]
        let unusedMoney = [
            "flat_cost", "compression_savings_spend", "prompt_caching_savings_spend",
            "gateway_injected_caching_savings_spend", "autorouter_savings_spend",
        ]
        var members = JSONObject(
            uniqueKeysWithValues: counts.map { name, value in (prefix + name, .integer(value)) })
        for name in unusedMoney { members[prefix + name] = 0.0 }
        members[prefix + "spend"] = .double(spend)
        members["total_tokens"] = .integer(promptTokens + completionTokens)
        members["total_response_time_ms"] = .integer(milliseconds)
        return members
    }
}
