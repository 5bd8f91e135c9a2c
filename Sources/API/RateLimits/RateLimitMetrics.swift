import Metrics
import Shared

/// Counts requests by the limit that they fall under.
struct RateLimitMetrics: Sendable {
    /// What the metrics are, for the registry.
    static let descriptions = [
        MetricDescription(label, help: "Requests that were counted on a limit, by its class and what became of them.")
    ]

    private static let label = "litemaas.rate.limit.requests"

    private let allowed: [RateLimitClass: Counter]
    private let refused: [RateLimitClass: Counter]

    init(factory: any MetricsFactory) {
        func counters(_ outcome: String) -> [RateLimitClass: Counter] {
            Dictionary(
                uniqueKeysWithValues: RateLimitClass.allCases.map { rateClass in
                    let dimensions = [("class", rateClass.rawValue), ("outcome", outcome)]
                    return (rateClass, Counter(label: Self.label, dimensions: dimensions, factory: factory))
                })
        }
        allowed = counters("allowed")
        refused = counters("refused")
    }

    func record(_ rateClass: RateLimitClass, isAllowed: Bool) {
        (isAllowed ? allowed : refused)[rateClass]?.increment()
    }
}
