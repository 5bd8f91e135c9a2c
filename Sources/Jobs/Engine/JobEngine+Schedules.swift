import Shared
import Synchronization

extension JobEngine {
    /// The longest time that a change of a schedule which nobody announced goes unnoticed.
    private static let longestScheduleWait: Duration = .seconds(5)

    /// Something became due that no claim would see: waiting jobs, or a changed schedule.
    func ringDue() {
        dueSignal.ring()
        scheduleSignal.ring()
    }

    func runSchedulesOnTime() async throws {
        let wait = state.withLock { $0.nextSchedule } ?? Self.longestScheduleWait
        await scheduleSignal.wait(atMost: min(max(wait, .milliseconds(10)), Self.longestScheduleWait))
        guard !isDraining else { return }
        let next = try await JobSchedules(queue: queue, clock: settings.scheduleClock).runDue()
        state.withLock { $0.nextSchedule = next }
    }
}
