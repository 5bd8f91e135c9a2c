/// Memory, CPU, descriptors, uptime and build of this process, as Prometheus's clients name them.
package enum ProcessMetrics {
    /// Adds the process's values to `registry`; they are read from the system whenever the metrics are.
    ///
    /// - Parameters:
    ///   - registry: where to add them.
    ///   - service: the program's name, a label of `litemaas_build_info`.
    package static func install(in registry: PrometheusRegistry, service: String) {
        let clock = ContinuousClock()
        let start = clock.now
        registry.addCollector {
            samples(uptime: start.duration(to: clock.now), service: service)
        }
    }

    private static func samples(uptime: Duration, service: String) -> [PrometheusSample] {
        var samples = [
            PrometheusSample(
                "litemaas_build_info", .gauge, help: "Always 1; the labels say what is running.",
                labels: [
                    ("service", service), ("version", BuildInfo.version), ("swift", BuildInfo.swift),
                    ("configuration", BuildInfo.configuration),
                ], value: 1),
            PrometheusSample(
                "litemaas_uptime_seconds", .gauge, help: "Seconds since the process started.",
                value: uptime.inSeconds),
        ]
        func add(_ name: String, _ kind: PrometheusSample.Kind, _ value: Double?, _ help: String) {
            guard let value else { return }
            samples.append(PrometheusSample(name, kind, help: help, value: value))
        }
        add("process_cpu_seconds_total", .counter, ProcessStatistics.cpuSeconds(), "User and system CPU time used.")
        add(
            "process_resident_memory_bytes", .gauge, ProcessStatistics.residentBytes().map(Double.init),
            "Resident memory.")
        add(
            "process_open_fds", .gauge, ProcessStatistics.openFileDescriptors().map(Double.init),
            "Open file descriptors.")
        add(
            "process_max_fds", .gauge, ProcessStatistics.maximumFileDescriptors().map(Double.init),
            "Limit of open file descriptors.")
        add("process_threads", .gauge, ProcessStatistics.threads().map(Double.init), "Threads.")
        return samples
    }
}
