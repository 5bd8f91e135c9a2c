extension LiteLLMClient {
    /// Models of deployments that LiteLLM is asked for one by one; beyond, all providers stay open.
    private static let mostModels = 500

    /// The activity of a walk, with what it leaves open by provider found out: LiteLLM is asked again for each model of
    /// its deployments that answered such keys. Where that does not add up to what the walk had, as while a day goes on,
    /// it stays open.
    ///
    /// - Parameter isOver: whether nobody may look at the day again: then a failure that may pass leaves nothing open.
    func activityByProvider(
        _ ledger: DailyActivityLedger, date: String, isOver: Bool
    ) async throws -> LiteLLMDailyActivity {
        var activity = ledger.activity
        let open = Set(activity.rows.filter(\.isOpen).compactMap(\.part))
        let models = Set(open.flatMap { ledger.models[$0.key] ?? [] }).sorted()
        guard !models.isEmpty, models.count <= Self.mostModels else { return activity }
        var finer: [UsagePart: [LiteLLMUsageRow]] = [:]
        do {
            for model in models {
                let walk = try await walkActivity(date: date, model: model)
                for row in walk?.ledger.activity.rows ?? [] {
                    if let part = row.part, open.contains(part) { finer[part, default: []].append(row) }
                }
            }
        } catch let error as LiteLLMError where !isOver || error.kind == .permanent {
            // The figures are whole without it; what was not found below stays open.
        }
        activity.rows = Dictionary(grouping: activity.rows) { $0.part }.flatMap { part, known in
            part.flatMap { finer[$0] }.flatMap { known.settled(by: $0) } ?? known
        }
        activity.rows.sort { $0.order < $1.order }
        return activity
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

extension LiteLLMUsageMetrics {
    /// Whether it is refused requests, or nothing.
    fileprivate var isRefused: Bool {
        var others = self
        others.requests -= failedRequests
        others.failedRequests = 0
        return failedRequests >= 0 && others.agrees(with: Self())
    }
}

extension [LiteLLMUsageRow] {
    /// Rows by provider in the place of these, all of one part; nil unless they are all of it but what no deployment
    /// answered.
    fileprivate func settled(by found: [LiteLLMUsageRow]) -> [LiteLLMUsageRow]? {
        let rest = sum - found.sum
        guard !found.contains(where: \.isOpen), rest.isRefused else { return nil }
        var rows = Dictionary(grouping: found) { $0.provider }.values.compactMap { rows in
            var row = rows.first
            row?.metrics = rows.sum
            return row
        }
        if var row = first, rest.failedRequests > 0 {
            row.provider = nil
            row.metrics = rest
            rows.append(row)
        }
        return rows
    }

    fileprivate var sum: LiteLLMUsageMetrics { reduce(into: LiteLLMUsageMetrics()) { $0 += $1.metrics } }
}
