extension LiteLLMClient {
    /// The activity of a walk, with what it leaves open by provider found out: LiteLLM is asked again for each model of
    /// its deployments that such keys used. Where that does not add up to what the walk had, as while a day goes on,
    /// it stays open.
    func activityByProvider(_ ledger: DailyActivityLedger, date: String) async throws -> LiteLLMDailyActivity {
        let activity = ledger.activity
        let open = Set(activity.rows.filter(\.isOpen).compactMap(\.part))
        guard !open.isEmpty else { return activity }
        var finer: [UsagePart: [LiteLLMUsageRow]] = [:]
        for model in Set(open.flatMap { ledger.models[$0.key] ?? [] }).sorted() {
            guard let walk = try await walkActivity(date: date, model: model) else { return activity }
            for row in walk.ledger.activity.rows {
                if let part = row.part, open.contains(part) { finer[part, default: []].append(row) }
            }
        }
        var settled = activity
        for part in open {
            let found = finer[part] ?? []
            let known = activity.rows.filter { $0.part == part }
            guard !found.contains(where: \.isOpen), found.sum.agrees(with: known.sum) else { continue }
            settled.rows.removeAll { $0.part == part }
            settled.rows += Dictionary(grouping: found) { $0.provider }.values.compactMap { rows in
                var row = rows.first
                row?.metrics = rows.sum
                return row
            }
        }
        settled.rows.sort { $0.order < $1.order }
        return settled
    }
}

/// What one key used of one model on one day.
private struct UsagePart: Hashable {
    let date: String
    let key: String
    let model: String
}

extension LiteLLMUsageRow {
    /// Whether a provider served it, and which is not known.
    fileprivate var isOpen: Bool { provider == nil && metrics.hasAnswers }

    fileprivate var part: UsagePart? {
        guard let keyHash, let modelGroup else { return nil }
        return UsagePart(date: date, key: keyHash, model: modelGroup)
    }
}

extension [LiteLLMUsageRow] {
    fileprivate var sum: LiteLLMUsageMetrics { reduce(into: LiteLLMUsageMetrics()) { $0 += $1.metrics } }
}
