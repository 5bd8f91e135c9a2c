import Shared

/// Forgets ended jobs whose time is over. How long each sort is kept stands in the parameters, so in the schedule.
package struct JobsRetention: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// Daily partitions of the history that were dropped.
        package var historyPartitions: Int
        /// Daily partitions of failed attempts that were dropped.
        package var attemptPartitions: Int
        /// Dead letters that nobody retried in time.
        package var deadLetters: Int
        /// Decided ticks of schedules.
        package var ticks: Int
    }

    private static let batch = 1000

    package static let name = "jobs.retention"
    package static let timeout: Duration = .seconds(600)

    /// Days that ended jobs are kept; 1 or more, as are the others.
    package let historyDays: Int
    /// Days that failed jobs wait for a person.
    package let deadLetterDays: Int
    /// Days that failed attempts are kept; at least as long as the jobs they belong to.
    package let attemptDays: Int
    /// Days that decided ticks of schedules are kept.
    package let tickDays: Int

    package init(historyDays: Int, deadLetterDays: Int, attemptDays: Int? = nil, tickDays: Int) {
        self.historyDays = historyDays
        self.deadLetterDays = deadLetterDays
        self.attemptDays = attemptDays ?? max(historyDays, deadLetterDays)
        self.tickDays = tickDays
    }

    package var orderKey: String? { Self.name }
    package var uniqueKey: String? { Self.name }

    package func run(in context: JobContext) async throws -> Output {
        for (field, days) in [
            ("historyDays", historyDays), ("deadLetterDays", deadLetterDays), ("attemptDays", attemptDays),
            ("tickDays", tickDays),
        ] {
            guard (1...36_500).contains(days) else {
                throw JobFailure.permanent(
                    code: "invalid_retention",
                    message: "\(field) is \(days); use 1 to 36500 in the schedule's parameters.")
            }
        }
        let store = context.store
        let database = context.services.database
        let history = try await store.dropPartitions(of: .history, olderThanDays: historyDays, in: database)
        let attempts = try await store.dropPartitions(
            of: .attempts, olderThanDays: max(attemptDays, historyDays), in: database)
        let letters = try await all { limit in
            try await store.forgetDeadLetters(days: deadLetterDays, limit: limit, in: database)
        }
        let ticks = try await all { limit in
            try await PostgresScheduleStore().forgetTicks(days: tickDays, limit: limit, in: database)
        }
        return Output(historyPartitions: history, attemptPartitions: attempts, deadLetters: letters, ticks: ticks)
    }

    private func all(_ forget: (_ limit: Int) async throws -> Int) async throws -> Int {
        var total = 0
        while true {
            let gone = try await forget(Self.batch)
            total += gone
            guard gone == Self.batch else { return total }
            try Task.checkCancellation()
        }
    }
}
