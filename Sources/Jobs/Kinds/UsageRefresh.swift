import Shared

/// Takes today over, and the newest of the last days that were never taken over or not when they were final: so gaps
/// that an outage has left fill by themselves. Each day is a child. A day that is final is not asked for again.
package struct UsageRefresh: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The days that were taken over.
        package var days: [UsageFetchDay.Output]
        /// Days that could not be taken over; their jobs are among the dead letters.
        package var failed: Int
    }

    /// Days of one run: an outage of a month does not become a month's worth of heavy queries at once.
    static let most = 10

    package static let name = "usage.refresh"
    package static let queue = "usage"

    /// How far back it looks, in days, today included; 1...60.
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
        try await context.openOnce { transaction in
            let usage = PostgresUsageStore()
            let today = UTCDay(containing: try await usage.now(in: transaction))
            let first = today.advanced(by: 1 - days)
            return try await usage.unfinished(from: first, to: today, limit: Self.most, in: transaction)
        }
        throw JobWaitForChildren(.someMayFail)
    }
}

extension JobContext {
    /// Puts in a child for each day that `days` gives, in one transaction and only once: an attempt that follows a
    /// crash finds other days open.
    func openOnce(
        force: Bool = false, _ days: @Sendable (PostgresTransaction) async throws -> [UTCDay]
    ) async throws {
        try await transaction { transaction in
            guard try await PostgresFamilyStore().find(parent: id, in: transaction) == nil else { return }
            let jobs = try await days(transaction).map { UsageFetchDay(date: $0, force: force) }
            try await addChildren(
                jobs, resource: { JobResource(type: "usage_day", id: $0.date.description) }, in: transaction)
        }
    }
}
