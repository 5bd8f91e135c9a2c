import Metrics
import Shared
import Testing

@Suite struct PrometheusTests {
    let registry = PrometheusRegistry(
        seriesLimit: 3,
        descriptions: [
            MetricDescription("litemaas.jobs.done", help: "Jobs that ended.\nBy \\ result."),
            MetricDescription("call", help: "Calls.", buckets: [1, 0.5]),
        ])

    var factory: PrometheusMetricsFactory { PrometheusMetricsFactory(registry) }

    @Test func golden() {
        Counter(
            label: "litemaas.jobs.done", dimensions: [("kind", "key.create"), ("result", "a\"b\\c\nd")],
            factory: factory
        )
        .increment(by: 3)
        Counter(label: "litemaas.jobs.done", dimensions: [("result", "ok"), ("kind", "key.create")], factory: factory)
            .increment()
        FloatingPointCounter(label: "spend_total", factory: factory).increment(by: 0.25)
        let gauge = Meter(label: "queue-depth", factory: factory)
        gauge.set(7)
        gauge.decrement(by: 0.5)
        let timer = Timer(label: "call", dimensions: [("to", "x")], factory: factory)
        timer.recordMilliseconds(500)
        timer.recordMilliseconds(501)
        timer.recordSeconds(2)
        #expect(
            registry.render() == """
                # HELP call_seconds Calls.
                # TYPE call_seconds histogram
                call_seconds_bucket{to="x",le="0.5"} 1
                call_seconds_bucket{to="x",le="1"} 2
                call_seconds_bucket{to="x",le="+Inf"} 3
                call_seconds_sum{to="x"} 3.001
                call_seconds_count{to="x"} 3
                # HELP litemaas_jobs_done_total Jobs that ended.\\nBy \\\\ result.
                # TYPE litemaas_jobs_done_total counter
                litemaas_jobs_done_total{kind="key.create",result="a\\"b\\\\c\\nd"} 3
                litemaas_jobs_done_total{kind="key.create",result="ok"} 1
                # HELP queue_depth queue-depth
                # TYPE queue_depth gauge
                queue_depth 6.5
                # HELP spend_total spend_total
                # TYPE spend_total counter
                spend_total 0.25

                """)
    }

    @Test func sameSeriesIsSharedWhateverTheOrderOfLabels() {
        Counter(label: "c", dimensions: [("a", "1"), ("b", "2")], factory: factory).increment()
        Counter(label: "c", dimensions: [("b", "2"), ("a", "1")], factory: factory).increment()
        FloatingPointCounter(label: "c", dimensions: [("a", "1"), ("b", "2")], factory: factory).increment(by: 0.5)
        #expect(registry.render().contains("c_total{a=\"1\",b=\"2\"} 2.5\n"))
    }

    @Test func foldsWhatExceedsTheLimitOfSeries() {
        for user in 0..<10 {
            Counter(label: "c", dimensions: [("user", "\(user)")], factory: factory).increment()
        }
        let text = registry.render()
        #expect(text.contains("c_total{user=\"2\"} 1\n"))
        #expect(text.contains("c_total{user=\"other\"} 7\n"))
        #expect(!text.contains("user=\"3\""))
        #expect(text.contains("prometheus_rejected_series_total 7\n"))
    }

    @Test func refusesANameOfAnotherKind() {
        Counter(label: "x.total", factory: factory).increment()
        Meter(label: "x.total", factory: factory).set(5)
        let text = registry.render()
        #expect(text.contains("# TYPE x_total counter\nx_total 1\n"))
        #expect(!text.contains("x_total 5"))
        #expect(text.contains("prometheus_rejected_series_total 1\n"))
    }

    @Test func countersIgnoreWhatDoesNotGrow() {
        let counter = FloatingPointCounter(label: "c", factory: factory)
        counter.increment(by: -1)
        counter.increment(by: Double.nan)
        counter.increment(by: Double.infinity)
        counter.increment(by: 2)
        #expect(registry.render().contains("c_total 2\n"))
        counter.reset()
        #expect(registry.render().contains("c_total 0\n"))
    }

    @Test func recordersAreHistogramsOrGauges() {
        let histogram = Recorder(label: "rows", factory: factory)
        histogram.record(3)
        histogram.record(2_000_000)
        Gauge(label: "level", factory: factory).record(4)
        let text = registry.render()
        #expect(text.contains("rows_bucket{le=\"5\"} 1\n"))
        #expect(text.contains("rows_bucket{le=\"1000000\"} 1\n"))
        #expect(text.contains("rows_bucket{le=\"+Inf\"} 2\n"))
        #expect(text.contains("# TYPE level gauge\nlevel 4\n"))
    }

    @Test func destroyedSeriesDisappear() {
        let counter = Counter(label: "c", dimensions: [("a", "1")], factory: factory)
        let timer = Timer(label: "t", factory: factory)
        counter.increment()
        timer.recordSeconds(1)
        counter.destroy()
        timer.destroy()
        #expect(registry.render() == "")
    }

    @Test func namesAreMadeValid() {
        Counter(label: "9 lives-ü", dimensions: [("a.b:c", "1")], factory: factory).increment()
        #expect(registry.render().contains("_9_lives___total{a_b_c=\"1\"} 1\n"))
    }

    @Test func oddNumbersAreWrittenAsPrometheusReadsThem() {
        for (index, value) in [Double.infinity, -.infinity, .nan].enumerated() {
            Meter(label: "m\(index)", factory: factory).set(value)
        }
        let text = registry.render()
        #expect(text.contains("m0 +Inf\n"))
        #expect(text.contains("m1 -Inf\n"))
        #expect(text.contains("m2 NaN\n"))
    }

    @Test func concurrentUseLosesNothing() async {
        let factory = factory
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 {
                        Counter(label: "c", factory: factory).increment()
                        Recorder(label: "r", factory: factory).record(1)
                    }
                }
            }
        }
        let text = registry.render()
        #expect(text.contains("c_total 8000\n"))
        #expect(text.contains("r_count 8000\n"))
    }

    @Test func processMetricsAreThere() throws {
        ProcessMetrics.install(in: registry, service: "tests")
        let text = registry.render()
        for name in [
            "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_max_fds",
            "process_threads", "litemaas_uptime_seconds",
        ] {
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(name + " ") }, "\(name)")
            #expect(try #require(Double(line.split(separator: " ")[1])) > 0)
        }
        #expect(text.contains("litemaas_build_info{configuration="))
        #expect(try #require(ProcessStatistics.residentBytes()) > 1_000_000)
    }
}
