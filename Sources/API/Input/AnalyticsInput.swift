import Shared

extension AnalyticsLimits {
    /// Reads what the body names, in LiteMaaS's shape; the rest has its default. Check the fields afterwards.
    init(_ fields: inout Fields) {
        var new = AnalyticsLimits()
        fields.group("pagination") { fields in
            fields.replace(&new.pageSizes.usual, "defaultPageSize", in: 1...1000)
            fields.replace(&new.pageSizes.largest, "maxPageSize", in: 1...1000)
            fields.replace(&new.pageSizes.smallest, "minPageSize", in: 1...1000)
        }
        fields.group("topLimits") { fields in
            fields.replace(&new.topUsers, "users", in: 1...100)
            fields.replace(&new.topModels, "models", in: 1...100)
            fields.replace(&new.topProviders, "providers", in: 1...100)
        }
        fields.group("dateRangeLimits") { fields in
            fields.replace(&new.maxDays, "maxAnalyticsDays", in: 1...366)
            fields.replace(&new.maxExportDays, "maxExportDays", in: 1...1096)
        }
        fields.group("warnings") { $0.replace(&new.largeRangeDays, "largeDateRangeDays", in: 1...1096) }
        fields.group("trends") { $0.replace(&new.trendDigits, "calculationPrecision", in: 0...6) }
        fields.group("export") { $0.replace(&new.maxExportRows, "maxRows", in: 1...1_000_000) }
        self = new
        for violation in contradictions { fields.refuse(violation.field, .invalid, violation.message) }
    }
}

extension Fields {
    fileprivate mutating func group(_ name: String, _ read: (inout Fields) -> Void) {
        _ = nested(name) { fields in read(&fields) }
    }

    fileprivate mutating func replace(_ value: inout Int, _ name: String, in range: ClosedRange<Int>) {
        if let new = int(name, in: range) { value = new }
    }
}
