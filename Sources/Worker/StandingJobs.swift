import Jobs
import Logging
import ServiceLifecycle
import Shared

/// Jobs that every worker asks for at its start and from time to time. They coalesce with those of other workers, so
/// any number of workers leads to one.
struct StandingJobs: Service {
    let queue: JobQueue
    let logger: Logger

    /// How often secrets whose time has come are looked for.
    static let purgeInterval: Duration = .seconds(300)

    func run() async throws {
        try await queue.prepare()
        await request(ModelSync())
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await request(SecretsPurge())
                // Ends with the shutdown.
                do { try await Task.sleep(for: Self.purgeInterval) } catch { return }
            }
        }
    }

    /// A request that fails is made again at the next start or interval; the worker goes on.
    private func request(_ job: some JobKind) async {
        var options = JobOptions()
        options.requester = JobRequester(id: "system")
        do {
            let enqueued = try await queue.enqueue(job, options: options)
            logger.debug("standing job requested", metadata: ["job_id": "\(enqueued.id)"])
        } catch {
            logger.warning("a standing job could not be requested", metadata: ["error": "\(error)"])
        }
    }
}
