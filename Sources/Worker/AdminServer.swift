import HTTPTypes
import Hummingbird
import Jobs
import Logging
import NIOCore
import ServiceLifecycle
import Shared

/// Health and metrics of a worker, for probes and Prometheus; nothing else is served here.
struct AdminServer: Service {
    let host: String
    let port: Int
    let engine: JobEngine
    let database: PostgresClient
    let metrics: PrometheusRegistry
    let logger: Logger

    /// A claim loop that has not turned for so long is stuck.
    static let stuckAfter: Duration = .seconds(60)

    func run() async throws {
        let application = Application(
            router: routes(), configuration: .init(address: .hostname(host, port: port), serverName: nil),
            logger: logger)
        try await application.run()
    }

    func routes() -> Router<BasicRequestContext> {
        let router = Router()
        // Alive while it drains, and whatever LiteLLM or the database do: only a stuck loop is a reason to restart.
        router.get("/health/live") { _, _ in
            let isAlive = engine.sinceLastTurn < Self.stuckAfter || engine.isDraining
            return answer(isAlive ? .ok : .serviceUnavailable, ["alive": .bool(isAlive)])
        }
        // Ready to take work: the database answers and has our schema. An open breaker is not unreadiness.
        router.get("/health/ready") { _, _ in
            guard !engine.isDraining else {
                return answer(.serviceUnavailable, ["ready": false, "reason": "draining"])
            }
            do {
                try await Migrator.requireCurrent(client: database, atLeast: SchemaVersion.required)
                return answer(.ok, ["ready": true, "runningJobs": .int(engine.runningCount)])
            } catch {
                return answer(.serviceUnavailable, ["ready": false, "reason": "database"])
            }
        }
        router.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: PrometheusRegistry.contentType],
                body: ResponseBody(byteBuffer: ByteBuffer(string: metrics.render())))
        }
        return router
    }

    private func answer(_ status: HTTPResponse.Status, _ body: JSONValue) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: body.encodedString())))
    }
}
