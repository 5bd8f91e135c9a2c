import Foundation

/// A page of `/user/daily/activity` as it comes: a breakdown for each date, with the numbers of each key inside.
struct DailyActivityAnswer: Decodable, Sendable {
    let days: [ActivityDay]
    let page: Int
    let totalPages: Int
    let hasMore: Bool

    init(from decoder: any Decoder) throws {
        let answer = try decoder.container(keyedBy: AnyMember.self)
        days = try answer.decode([ActivityDay].self, forKey: "results")
        let paging = try answer.nestedContainer(keyedBy: AnyMember.self, forKey: "metadata")
        page = paging.integer("page") ?? 1
        totalPages = paging.integer("total_pages") ?? (days.isEmpty ? 0 : 1)
        hasMore = paging.flag("has_more") ?? (page < totalPages)
    }
}

/// One date of a page.
struct ActivityDay: Decodable, Sendable {
    let date: String
    let metrics: LiteLLMUsageMetrics
    let models: [String: ActivityEntry]
    let modelGroups: [String: ActivityEntry]
    let providers: [String: ActivityEntry]
    let entities: [String: ActivityEntry]
    /// Nil where a release does not say.
    let keys: [String: ActivityEntry]?

    init(from decoder: any Decoder) throws {
        let day = try decoder.container(keyedBy: AnyMember.self)
        date = try day.decode(String.self, forKey: "date")
        metrics = try day.decode(LiteLLMUsageMetrics.self, forKey: "metrics")
        let breakdown = try day.nestedContainer(keyedBy: AnyMember.self, forKey: "breakdown")
        models = try breakdown.decodeIfPresent([String: ActivityEntry].self, forKey: "models") ?? [:]
        modelGroups = try breakdown.decodeIfPresent([String: ActivityEntry].self, forKey: "model_groups") ?? [:]
        providers = try breakdown.decodeIfPresent([String: ActivityEntry].self, forKey: "providers") ?? [:]
        entities = try breakdown.decodeIfPresent([String: ActivityEntry].self, forKey: "entities") ?? [:]
        keys = try breakdown.decodeIfPresent([String: ActivityEntry].self, forKey: "api_keys")
    }
}

/// The numbers of one model, provider, user or key, and inside it those of each key.
struct ActivityEntry: Decodable, Sendable {
    let metrics: LiteLLMUsageMetrics
    let alias: String?
    let userId: String?
    let teamId: String?
    let keys: [String: ActivityEntry]

    init(from decoder: any Decoder) throws {
        let entry = try decoder.container(keyedBy: AnyMember.self)
        metrics = try entry.decode(LiteLLMUsageMetrics.self, forKey: "metrics")
        keys = try entry.decodeIfPresent([String: ActivityEntry].self, forKey: "api_key_breakdown") ?? [:]
        // As in `LenientDecoding`: "is it an object?"; anything else counts as absent.
        let metadata = try? entry.nestedContainer(keyedBy: AnyMember.self, forKey: "metadata")
        alias = metadata?.name("key_alias")
        userId = metadata?.name("user_id")
        teamId = metadata?.name("team_id")
    }
}

extension LiteLLMUsageMetrics: Decodable {
    package init(from decoder: any Decoder) throws {
        self.init()
        let numbers = try decoder.container(keyedBy: AnyMember.self)
        guard numbers.contains("spend") || numbers.contains("api_requests") else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "no metrics"))
        }
        spend = numbers.decimal("spend") ?? 0
        promptTokens = numbers.integer("prompt_tokens") ?? 0
        completionTokens = numbers.integer("completion_tokens") ?? 0
        totalTokens = numbers.integer("total_tokens") ?? promptTokens + completionTokens
        cacheReadTokens = numbers.integer("cache_read_input_tokens") ?? 0
        cacheCreationTokens = numbers.integer("cache_creation_input_tokens") ?? 0
        successfulRequests = numbers.integer("successful_requests") ?? 0
        failedRequests = numbers.integer("failed_requests") ?? 0
        requests = numbers.integer("api_requests") ?? successfulRequests + failedRequests
    }
}

/// Which provider served what a key used, as far as the answer lets one tell: it has the parts by key and model, and by
/// key and provider, but not by all three.
private struct Providers {
    private var parts: [String: [String?: LiteLLMUsageMetrics]] = [:]

    init(_ day: ActivityDay) {
        for (provider, entry) in day.providers {
            for (key, part) in entry.keys {
                // What was refused before a deployment was chosen is booked to this name.
                let isNobodys = provider == "unknown" && !part.metrics.hasAnswers
                parts[key, default: [:]][isNobodys ? nil : provider] = part.metrics
            }
        }
    }

    /// What the key used of one model, by provider. A key that used one model alone used it as it used its providers.
    /// Otherwise the only provider of the key served it all; or, of what was answered, the only one that answered it.
    /// What remains is left open.
    func split(_ metrics: LiteLLMUsageMetrics, of key: String, isAll: Bool) -> [String?: LiteLLMUsageMetrics] {
        let all = parts[key] ?? [:]
        let sum = all.values.reduce(into: LiteLLMUsageMetrics()) { $0 += $1 }
        if isAll, !all.isEmpty, sum.agrees(with: metrics) { return all }
        let candidates = all.count == 1 || !metrics.hasAnswers ? all : all.filter { $0.value.hasAnswers }
        guard candidates.count == 1, let only = candidates.first else { return [nil: metrics] }
        return [only.key: metrics]
    }
}

extension LiteLLMUsageMetrics {
    /// Whether anything of it was served by a provider.
    var hasAnswers: Bool { successfulRequests > 0 || totalTokens > 0 || spend > 0 }
}

/// Adds pages up.
struct DailyActivityLedger {
    private struct RowKey: Hashable {
        let date: String
        let key: String?
        let model: String?
        let provider: String?

        init(_ date: String, key: String?, model: String?, provider: String?) {
            self.date = date
            self.key = key.flatMap { $0.isEmpty ? nil : $0 }
            self.model = model
            self.provider = provider
        }
    }

    private struct Owner {
        var alias: String?
        var userId: String?
        var teamId: String?
    }

    private var rows: [RowKey: LiteLLMUsageMetrics] = [:]
    private var owners: [String: Owner] = [:]
    private var total = LiteLLMUsageMetrics()
    /// The deployments' models that answered each key; whoever has a key may be refused others without end.
    private(set) var models: [String: Set<String>] = [:]

    mutating func add(_ day: ActivityDay) {
        total += day.metrics
        addRows(day)
        for (model, entry) in day.models {
            for (key, part) in entry.keys where part.metrics.hasAnswers { models[key, default: []].insert(model) }
        }
    }

    var activity: LiteLLMDailyActivity {
        let rows = rows.filter { !$0.value.isNegligible }.map { key, metrics in
            let owner = key.key.flatMap { owners[$0] }
            return LiteLLMUsageRow(
                date: key.date, keyHash: key.key, keyAlias: owner?.alias, userId: owner?.userId,
                teamId: owner?.teamId, modelGroup: key.model, provider: key.provider, metrics: metrics)
        }
        return LiteLLMDailyActivity(rows: rows.sorted { $0.order < $1.order }, total: total)
    }

    /// By key and model; what LiteLLM books to a key but no model, or to no key at all, makes rows of its own, so that
    /// nothing of the day's total is lost.
    private mutating func addRows(_ day: ActivityDay) {
        let providers = Providers(day)
        let groups = day.modelGroups.isEmpty ? day.models : day.modelGroups
        let used = groups.values.flatMap(\.keys.keys).reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
        var left = day.metrics
        var leftOfKey: [String: LiteLLMUsageMetrics] = [:]
        for (key, entry) in day.keys ?? [:] {
            note(entry, of: key)
            leftOfKey[key] = entry.metrics
            left = left - entry.metrics
        }
        for (group, entry) in groups {
            for (key, part) in entry.keys {
                note(part, of: key)
                for (provider, metrics) in providers.split(part.metrics, of: key, isAll: used[key] == 1) {
                    record(metrics, RowKey(day.date, key: key, model: group, provider: provider))
                }
                if leftOfKey[key] != nil {
                    leftOfKey[key] = leftOfKey[key, default: .init()] - part.metrics
                } else {
                    left = left - part.metrics
                }
            }
        }
        for (key, rest) in leftOfKey {
            for (provider, metrics) in providers.split(rest, of: key, isAll: used[key] == nil) {
                record(metrics, RowKey(day.date, key: key, model: nil, provider: provider))
            }
        }
        record(left, RowKey(day.date, key: nil, model: nil, provider: nil))
    }

    private mutating func record(_ metrics: LiteLLMUsageMetrics, _ key: RowKey) {
        guard !metrics.isNegligible else { return }
        rows[key, default: .init()] += metrics
    }

    private mutating func note(_ entry: ActivityEntry, of key: String) {
        let known = owners[key]
        owners[key] = Owner(
            alias: entry.alias ?? known?.alias, userId: entry.userId ?? known?.userId,
            teamId: entry.teamId ?? known?.teamId)
    }
}

extension LiteLLMUsageRow {
    var order: (String, String, String, String) { (date, keyHash ?? "", modelGroup ?? "", provider ?? "") }
}
