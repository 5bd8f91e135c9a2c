/// The text format 0.0.4 of Prometheus: names, labels, numbers, families.
enum PrometheusTextFormat {
    private static let labelValueBytes = 256

    /// `litemaas.jobs-done` as `litemaas_jobs_done_total`, with the ending that the kind asks for.
    static func familyName(_ label: String, kind: PrometheusFamily.Kind) -> String {
        let name = sanitized(label, colons: true)
        return switch kind {
        case .counter: name.hasSuffix("_total") ? name : name + "_total"
        case .timer: name.hasSuffix("_seconds") ? name : name + "_seconds"
        case .recorder, .gauge: name
        }
    }

    /// `a="1",b="2"`, sorted by name; of two equal names the last one counts.
    static func labels(_ dimensions: [(String, String)]) -> String {
        guard !dimensions.isEmpty else { return "" }
        var values: [String: String] = [:]
        for (name, value) in dimensions {
            values[sanitized(name, colons: false)] = String(value.unicodeScalars.prefix(labelValueBytes))
        }
        return values.sorted { $0.key < $1.key }.map { "\($0.key)=\"\(escaped($0.value, quotes: true))\"" }
            .joined(separator: ",")
    }

    /// Families and computed samples together, sorted by name. Samples of a name that is a family's are left out.
    static func render(families: [String: PrometheusFamily], samples: [PrometheusSample]) -> String {
        var blocks: [String: String] = [:]
        for (name, samples) in Dictionary(grouping: samples, by: { sanitized($0.name, colons: true) }) {
            var block = header(name, help: samples[0].help, type: samples[0].kind.rawValue)
            for line in samples.map({ series(name, labels($0.labels)) + " " + number($0.value) + "\n" }).sorted() {
                block += line
            }
            blocks[name] = block
        }
        for (name, family) in families where !family.series.isEmpty {
            var block = header(name, help: family.help, type: family.kind.typeName)
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                append(series, name: name, labels: labels, to: &block)
            }
            blocks[name] = block
        }
        return blocks.sorted { $0.key < $1.key }.map(\.value).joined()
    }

    private static func append(
        _ item: PrometheusFamily.Series, name: String, labels: String, to block: inout String
    ) {
        switch item {
        case .counter(let counter):
            block += series(name, labels) + " " + number(counter.value) + "\n"
        case .gauge(let gauge):
            block += series(name, labels) + " " + number(gauge.value) + "\n"
        case .histogram(let histogram):
            let snapshot = histogram.snapshot
            var total: UInt64 = 0
            for (index, count) in snapshot.counts.enumerated() {
                total += count
                let bound = index < histogram.bounds.count ? number(histogram.bounds[index]) : "+Inf"
                let bucket = labels.isEmpty ? "le=\"\(bound)\"" : "\(labels),le=\"\(bound)\""
                block += series(name + "_bucket", bucket) + " \(total)\n"
            }
            block += series(name + "_sum", labels) + " " + number(snapshot.sum) + "\n"
            block += series(name + "_count", labels) + " \(total)\n"
        }
    }

    private static func header(_ name: String, help: String, type: String) -> String {
        "# HELP \(name) \(escaped(help, quotes: false))\n# TYPE \(name) \(type)\n"
    }

    private static func series(_ name: String, _ labels: String) -> String {
        labels.isEmpty ? name : "\(name){\(labels)}"
    }

    /// Whole numbers without a fraction, the others as Swift writes them, which reads back to the same value.
    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return String(value)
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Letters, digits, underscores (and colons); everything else becomes an underscore, a leading digit gets one.
    private static func sanitized(_ name: String, colons: Bool) -> String {
        var result: [UInt8] = []
        for scalar in name.unicodeScalars {
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", "_": result.append(UInt8(ascii: scalar))
            case ":" where colons: result.append(UInt8(ascii: ":"))
            default: result.append(UInt8(ascii: "_"))
            }
        }
        if result.first.map({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) ?? true {
            result.insert(UInt8(ascii: "_"), at: 0)
        }
        return String(decoding: result, as: UTF8.self)
    }
}
