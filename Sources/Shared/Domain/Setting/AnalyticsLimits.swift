/// How much one look at everybody's usage may show. What clients are told and what the routes allow are one value.
package struct AnalyticsLimits: StoredSetting {
    package static let key = "admin_analytics"
    /// Users in the list of an analytics answer; `by-user` has them all.
    package static let listedUsers = 5
    /// Filters that one request may name of one sort, and choices that it is offered.
    package static let maxChoices = 1000

    /// Rows on a page.
    package struct PageSizes: Codable, Sendable, Equatable {
        package var smallest = 1
        package var usual = 50
        package var largest = 200
    }

    /// Of a breakdown.
    package var pageSizes = PageSizes()
    package var topUsers = 10
    package var topModels = 10
    package var topProviders = 5
    /// Days of one look.
    package var maxDays = 90
    /// Days of one export.
    package var maxExportDays = 365
    /// From here on a front end warns that it takes long.
    package var largeRangeDays = 30
    /// Decimal places of a trend in percent.
    package var trendDigits = 2
    /// Rows of one export.
    package var maxExportRows = 10_000

    /// What holds until administrators set something else.
    package init() {}

    /// What does not go together: the fields by their names in the API.
    package var contradictions: [SettingViolation] {
        var found: [SettingViolation] = []
        if pageSizes.smallest > pageSizes.largest {
            found.append(
                SettingViolation(
                    field: "pagination.minPageSize", message: "must not be greater than maxPageSize"))
        }
        if !(pageSizes.smallest...max(pageSizes.smallest, pageSizes.largest)).contains(pageSizes.usual) {
            found.append(
                SettingViolation(
                    field: "pagination.defaultPageSize", message: "must lie between minPageSize and maxPageSize"))
        }
        if maxDays > maxExportDays {
            found.append(
                SettingViolation(
                    field: "dateRangeLimits.maxAnalyticsDays", message: "must not be greater than maxExportDays"))
        }
        if largeRangeDays > maxExportDays {
            found.append(
                SettingViolation(
                    field: "warnings.largeDateRangeDays", message: "must not be greater than maxExportDays"))
        }
        return found
    }
}

extension PostgresSettingStore {
    /// How much one look at everybody's usage may show: for every route that shows or exports it.
    package func analytics(in executor: any PostgresExecutor) async throws -> AnalyticsLimits {
        try await get(in: executor) ?? AnalyticsLimits()
    }
}
