import Shared

/// A schedule with what came of it and what is to come.
package struct ScheduleReport: Codable, Sendable, Equatable {
    package var schedule: JobSchedule
    /// Also of a disabled schedule, as if it were enabled.
    package var nextRuns: [ScheduleRun]
    /// What came of the newest ticks, newest first.
    package var ticks: [ScheduleTick]
}

extension JobSchedules {
    /// A schedule with its next runs and newest ticks.
    ///
    /// - Throws: ``JobScheduleError/notFound(_:)``.
    package func report(_ name: String, runs: Int = 5, ticks: Int = 20) async throws -> ScheduleReport {
        ScheduleReport(
            schedule: try await get(name), nextRuns: try await nextRuns(name, count: runs),
            ticks: try await self.ticks(name, limit: ticks))
    }
}
