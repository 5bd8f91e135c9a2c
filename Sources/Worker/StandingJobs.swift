import Jobs
import Logging
import ServiceLifecycle
import Shared

/// Makes the schedules that the product brings along, at the start of every worker; any number of workers leads to one
/// row each. The engines run them.
struct StandingJobs: Service {
    let schedules: StandingSchedules
    let queue: JobQueue
    let logger: Logger

    /// How long a failed try waits for the next one.
    static let retryInterval: Duration = .seconds(5)

    func run() async throws {
        try await queue.prepare()
        let drafts = try schedules.drafts()
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    return try await JobSchedules(queue: queue).seed(drafts, atOnce: StandingSchedules.atOnce)
                } catch {
                    logger.warning("the standing schedules could not be made", metadata: ["error": "\(error)"])
                }
                // Ends with the shutdown.
                do { try await Task.sleep(for: Self.retryInterval) } catch { return }
            }
        }
        // A service that ends by itself while the others are being stopped would count as a failure.
        try await gracefulShutdown()
    }
}
