import Synchronization

/// What is known about a metric beside its values: the text of `# HELP` and a histogram's buckets.
package struct MetricDescription: Sendable {
    /// The metric's label as given to swift-metrics, such as `litemaas.jobs.duration`.
    package var label: String
    /// One sentence.
    package var help: String
    /// Upper ends of the buckets of a timer (seconds) or recorder; nil for the default ones.
    package var buckets: [Double]?

    /// Describes the metric `label`.
    package init(_ label: String, help: String, buckets: [Double]? = nil) {
        self.label = label
        self.help = help
        self.buckets = buckets.map { $0.filter(\.isFinite).sorted() }
    }
}

/// One value that is computed when the metrics are read.
package struct PrometheusSample: Sendable {
    /// The kinds that can be computed.
    package enum Kind: String, Sendable {
        /// A value that only grows.
        case counter
        /// Any other value.
        case gauge
    }

    /// The metric's full name as exposed.
    package var name: String
    /// Counter or gauge.
    package var kind: Kind
    /// The text of `# HELP`.
    package var help: String
    /// Label names and values.
    package var labels: [(String, String)]
    /// The value.
    package var value: Double

    /// One value; `name` is written as it is.
    package init(_ name: String, _ kind: Kind, help: String, labels: [(String, String)] = [], value: Double) {
        self.name = name
        self.kind = kind
        self.help = help
        self.labels = labels
        self.value = value
    }
}

/// All metrics of a process, written in Prometheus's text format 0.0.4.
///
/// Names: dots and dashes become underscores, counters end in `_total`, timers in `_seconds`. A family (one name) has
/// at most `seriesLimit` label sets; what comes after shares one in which every value is `other`, so that totals stay
/// right. A name that is already taken by another kind of metric is not exposed; `prometheus_rejected_series_total`
/// counts both.
package final class PrometheusRegistry: Sendable {
    /// Buckets of timers in seconds: from a query to a slow model call.
    package static let defaultTimerBuckets: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
    ]
    /// Buckets for what may last from milliseconds to a day, such as the age of a job.
    package static let longTimerBuckets: [Double] = [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400,
    ]
    /// Buckets of recorders: counts and sizes.
    package static let defaultRecorderBuckets: [Double] = [
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000,
    ]

    /// The content type of `render()`.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private struct State {
        var families: [String: PrometheusFamily] = [:]
        var descriptions: [String: MetricDescription] = [:]
        var collectors: [@Sendable () -> [PrometheusSample]] = []
        var rejected: UInt64 = 0
    }

    private let seriesLimit: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - seriesLimit: how many label sets a family may have.
    ///   - descriptions: help texts and buckets; more can follow with `describe`.
    package init(seriesLimit: Int = 1000, descriptions: [MetricDescription] = []) {
        self.seriesLimit = max(1, seriesLimit)
        describe(descriptions)
    }

    /// Sets help texts and buckets, to be called before the metrics are used: buckets of an existing one stay.
    package func describe(_ descriptions: [MetricDescription]) {
        state.withLock { state in
            for description in descriptions {
                state.descriptions[description.label] = description
            }
        }
    }

    /// Adds values that are computed at each `render()`; `collector` must be quick and must not block.
    package func addCollector(_ collector: @escaping @Sendable () -> [PrometheusSample]) {
        state.withLock { $0.collectors.append(collector) }
    }

    /// All metrics as text, families and series sorted, so that equal values give equal text.
    package func render() -> String {
        let (families, collectors, rejected) = state.withLock { ($0.families, $0.collectors, $0.rejected) }
        var samples = collectors.flatMap { $0() }
        if rejected > 0 {
            samples.append(
                PrometheusSample(
                    "prometheus_rejected_series_total", .counter,
                    help: "Series that were folded or refused because of their name, kind or number.",
                    value: Double(rejected)))
        }
        return PrometheusTextFormat.render(families: families, samples: samples)
    }

    /// The instrument of a series, made by `make` when it is new.
    func instrument<Instrument: AnyObject & Sendable>(
        _ label: String, kind: PrometheusFamily.Kind, dimensions: [(String, String)],
        make: (MetricDescription?) -> Instrument, as wrap: (Instrument) -> PrometheusFamily.Series
    ) -> Instrument {
        let name = PrometheusTextFormat.familyName(label, kind: kind)
        var labels = PrometheusTextFormat.labels(dimensions)
        return state.withLock { state in
            let description = state.descriptions[label]
            var family = state.families[name] ?? PrometheusFamily(kind: kind, help: description?.help ?? label)
            guard family.kind == kind else {
                state.rejected += 1
                return make(description)
            }
            if family.series[labels] == nil, family.series.count >= seriesLimit {
                state.rejected += 1
                labels = PrometheusTextFormat.labels(dimensions.map { ($0.0, "other") })
            }
            if let existing = family.series[labels]?.instrument as? Instrument { return existing }
            let instrument = make(description)
            family.series[labels] = wrap(instrument)
            state.families[name] = family
            return instrument
        }
    }

    /// Forgets the series that `instrument` backs.
    func remove(_ instrument: AnyObject) {
        state.withLock { state in
            for (name, family) in state.families {
                for (labels, series) in family.series where series.instrument === instrument {
                    state.families[name]?.series[labels] = nil
                }
            }
        }
    }
}

/// All series of one name.
struct PrometheusFamily: Sendable {
    enum Kind: String, Sendable {
        case counter, timer, recorder, gauge

        /// The word after `# TYPE`.
        var typeName: String {
            switch self {
            case .counter: "counter"
            case .gauge: "gauge"
            case .timer, .recorder: "histogram"
            }
        }
    }

    enum Series: Sendable {
        case counter(PrometheusCounter)
        case gauge(PrometheusGauge)
        case histogram(PrometheusHistogram)

        var instrument: AnyObject {
            switch self {
            case .counter(let counter): counter
            case .gauge(let gauge): gauge
            case .histogram(let histogram): histogram
            }
        }
    }

    let kind: Kind
    let help: String
    /// By rendered labels, such as `method="GET",status="200"`.
    var series: [String: Series] = [:]
}
