import Shared

/// Takes the last days of usage over, each day a child of its own.
package struct UsageRefresh: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The days that were taken over.
        package var days: [UsageFetchDay.Output]
        /// Days that could not be taken over; their jobs are among the dead letters.
        package var failed: Int
    }

    package static let name = "usage.refresh"
    package static let queue = "usage"

    /// How many days, today included; 1...60.
    package let days: Int

    package init(days: Int) {
        self.days = days
    }

    package var uniqueKey: String? { Self.name }

    package func run(in context: JobContext) async throws -> Output {
        if let counts = try await context.children() {
            let results = try await context.childResults(as: UsageFetchDay.Output.self)
            return Output(days: results.compactMap(\.output), failed: counts.failed + counts.cancelled)
        }
        guard (1...60).contains(days) else {
            throw JobFailure.permanent(code: "invalid_days", message: "days is \(days); use 1 to 60.")
        }
        var day = UTCDay(containing: try await PostgresUsageStore().now(in: context.services.database))
        var jobs: [UsageFetchDay] = []
        for _ in 0..<days {
            jobs.append(UsageFetchDay(date: day))
            day = day.previous
        }
        try await context.enqueueChildren(jobs)
        throw JobWaitForChildren(.someMayFail)
    }
}
