package import CoreMetrics

/// Makes swift-metrics write into a `PrometheusRegistry`: `MetricsSystem.bootstrap(PrometheusMetricsFactory(registry))`.
///
/// Counters are counters, meters and recorders without aggregation are gauges, timers and other recorders histograms.
package struct PrometheusMetricsFactory: MetricsFactory {
    /// Where the metrics are kept.
    package let registry: PrometheusRegistry

    /// Writes into `registry`.
    package init(_ registry: PrometheusRegistry) {
        self.registry = registry
    }

    /// The counter of this label and these dimensions.
    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        counter(label, dimensions)
    }

    /// The counter of this label and these dimensions; whole and fractional counters of one name are one.
    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }

    /// The gauge of this label and these dimensions.
    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    /// The histogram, or without `aggregate` the gauge, of this label and these dimensions.
    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        guard aggregate else { return gauge(label, dimensions) }
        return registry.instrument(
            label, kind: .recorder, dimensions: dimensions,
            make: { PrometheusHistogram(bounds: $0?.buckets ?? PrometheusRegistry.defaultRecorderBuckets) },
            as: { .histogram($0) })
    }

    /// The histogram in seconds of this label and these dimensions.
    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        registry.instrument(
            label, kind: .timer, dimensions: dimensions,
            make: { PrometheusHistogram(bounds: $0?.buckets ?? PrometheusRegistry.defaultTimerBuckets) },
            as: { .histogram($0) })
    }

    /// Forgets the counter's series.
    package func destroyCounter(_ handler: any CounterHandler) {
        registry.remove(handler)
    }

    /// Forgets the counter's series.
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {
        registry.remove(handler)
    }

    /// Forgets the gauge's series.
    package func destroyMeter(_ handler: any MeterHandler) {
        registry.remove(handler)
    }

    /// Forgets the recorder's series.
    package func destroyRecorder(_ handler: any RecorderHandler) {
        registry.remove(handler)
    }

    /// Forgets the timer's series.
    package func destroyTimer(_ handler: any TimerHandler) {
        registry.remove(handler)
    }

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> PrometheusCounter {
        registry.instrument(
            label, kind: .counter, dimensions: dimensions, make: { _ in PrometheusCounter() }, as: { .counter($0) })
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> PrometheusGauge {
        registry.instrument(
            label, kind: .gauge, dimensions: dimensions, make: { _ in PrometheusGauge() }, as: { .gauge($0) })
    }
}
