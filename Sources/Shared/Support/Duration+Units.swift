extension Duration {
    /// The length in seconds, fractions included.
    package var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }

    /// The length in whole milliseconds, rounded down; saturates at the ends of `Int64`.
    package var inMilliseconds: Int64 {
        let (product, overflow) = components.seconds.multipliedReportingOverflow(by: 1000)
        guard !overflow else { return components.seconds < 0 ? .min : .max }
        let (sum, overflows) = product.addingReportingOverflow(components.attoseconds / 1_000_000_000_000_000)
        return overflows ? (components.seconds < 0 ? .min : .max) : sum
    }
}
