import Logging
import ServiceLifecycle
import Shared

/// Removes rows of minutes long past, a bounded number at a time. Every process does; they pass over each other's rows.
struct RateLimitCleanup: Service {
    private static let pause: Duration = .seconds(180)
    private static let limit = 20_000

    let database: PostgresClient
    let logger: Logger
    private let store = PostgresRateLimitStore()

    init(database: PostgresClient, logger: Logger) {
        self.database = database
        self.logger = logger
    }

    func run() async {
        await cancelWhenGracefulShutdown {
            while await pause() {
                do {
                    _ = try await store.purge(limit: Self.limit, in: database)
                } catch {
                    // The next round removes them.
                    logger.warning("old request limits were not removed", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    /// False when the process ends.
    private func pause() async -> Bool {
        do {
            // Apart from the other processes, which may have started with this one.
            try await Task.sleep(for: Self.pause + .seconds(.random(in: 0...60)))
            return true
        } catch {
            return false
        }
    }
}
