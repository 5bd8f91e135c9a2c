import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Logging
import Shared

/// Whether this process lives, whether it can serve, and how the whole is doing. Nothing here calls LiteLLM: what is
/// known of it comes from the breakers that the workers keep, and from the jobs that wait for a person.
struct HealthRoutes: RouteGroup {
    /// When this process began to serve, as far as anybody asks.
    static let started = ContinuousClock.now

    let database: PostgresClient
    let queue: JobQueue
    let readiness: Readiness
    let settings: APISettings
    private let breakers = PostgresBreakerStore()

    init(database: PostgresClient, queue: JobQueue, readiness: Readiness, settings: APISettings) {
        self.database = database
        self.queue = queue
        self.readiness = readiness
        self.settings = settings
    }

    var routes: [Route] {
        [
            .open(.get, "/api/v1/health", health),
            .open(.get, "/api/v1/health/live") { _ in .json(Members { $0.member("alive", true) }) },
            .open(.get, "/api/v1/health/ready", ready),
            .permitted(.adminHealth, .get, "/api/v1/health/status", status),
        ]
    }

    private func ready(_ call: Call) async throws -> Response {
        let problem = await readiness.problem()
        return .json(
            Members { json in
                json.member("ready", problem == nil)
                json.member("problem", problem)
            }, status: problem == nil ? .ok : .serviceUnavailable)
    }

    private func health(_ call: Call) async throws -> Response {
        let report = await report(logger: call.context.logger)
        return .json(report, status: report.databaseProblem == nil ? .ok : .serviceUnavailable)
    }

    /// The same and what it leaves out for others: this process's connections, and what a person should know of.
    private func status(_ call: AuthenticatedCall) async throws -> Response {
        let report = await report(logger: call.context.logger)
        let alerts = report.databaseProblem == nil ? try await Alerts().list(in: database).alerts : []
        let pool = ConnectionPoolView(statistics: database.statistics)
        return .json(
            Members { json in
                report.writeMembers(to: &json)
                json.member("connectionPool", pool)
                json.member("alerts", alerts.map { AlertView(alert: $0) })
            }, status: report.databaseProblem == nil ? .ok : .serviceUnavailable)
    }

    private func report(logger: Logger) async -> HealthReport {
        var report = HealthReport(settings: settings, uptime: ContinuousClock.now - Self.started, time: Date())
        report.databaseProblem = await readiness.problem()
        guard report.databaseProblem == nil else { return report }
        do {
            report.breakers = try await breakers.statuses(in: database)
            report.failures = try await queue.standingFailures(codes: OperatorProblem.codes)
        } catch {
            logger.warning("the health of LiteLLM could not be read", metadata: ["error": "\(error)"])
            report.databaseProblem = "The database does not answer."
        }
        return report
    }
}

/// What keeps jobs from succeeding until an operator changes something in LiteLLM.
enum OperatorProblem {
    /// Error codes of jobs, with what to do.
    static let fixes: [String: String] = [
        "custom_keys_disabled":
            "LiteLLM refuses keys that are chosen by its clients. Set disable_custom_api_keys to false there.",
        "master_key_refused": "LiteLLM refuses LITELLM_API_KEY. Set it to LiteLLM's master key.",
        "enterprise_only": "LiteLLM wants a licence for what was asked.",
    ]

    static var codes: [String] { fixes.keys.sorted() }
}

/// The answer of the health route, in LiteMaaS's shape.
private struct HealthReport: JSONRepresentable {
    let settings: APISettings
    let uptime: Duration
    let time: Date
    var databaseProblem: String?
    var breakers: [BreakerStatus] = []
    var failures: [StandingFailure] = []

    private var isLiteLLMHealthy: Bool {
        failures.isEmpty && breakers.allSatisfy { $0.state == "closed" || $0.state == "forced_closed" }
    }

    func write(to json: inout JSONWriter) {
        json.object { writeMembers(to: &$0) }
    }

    func writeMembers(to json: inout JSONWriter) {
        json.member("status", databaseProblem != nil ? "unhealthy" : isLiteLLMHealthy ? "healthy" : "degraded")
        json.member("timestamp", time)
        json.member("version", BuildInfo.version)
        json.member("checks") { json in
            json.member("database", databaseProblem == nil ? "healthy" : "unhealthy")
            // Without the database nothing is known of LiteLLM.
            json.member("litellm", databaseProblem != nil ? "unknown" : isLiteLLMHealthy ? "healthy" : "unhealthy")
            json.member("auth", databaseProblem == nil ? "healthy" : "unhealthy")
        }
        json.member("problems", problems)
        json.member("details") { json in writeDetails(to: &json) }
    }

    private var problems: [Problem] {
        var problems: [Problem] = []
        if let databaseProblem { problems.append(Problem(code: "database", message: databaseProblem)) }
        for breaker in breakers where breaker.state == "open" || breaker.state == "forced_open" {
            let reason = breaker.reason.map { ": \($0)" } ?? ""
            problems.append(
                Problem(
                    code: "breaker_open", message: "Calls to \(breaker.name) are held back\(reason)",
                    since: breaker.openedAt))
        }
        for failure in failures {
            problems.append(
                Problem(
                    code: failure.code, message: OperatorProblem.fixes[failure.code] ?? failure.message,
                    since: failure.lastAt, jobs: failure.count, jobId: failure.lastJobId))
        }
        return problems
    }

    private func writeDetails(to json: inout JSONWriter) {
        json.member("uptime", uptime.inSeconds)
        json.member("memoryUsage") { json in json.member("rss", ProcessStatistics.residentBytes()) }
        json.member("environment", settings.environment.rawValue)
        let admin = breakers.first { $0.name == Upstream.litellmAdmin.rawValue }
        json.member("litellmMetrics") { json in
            json.member("cacheSize", 0)
            json.member("circuitBreakerStatus") { json in
                json.member("isOpen", admin.map { !$0.admits } ?? false)
                json.member("failureCount", admin?.consecutiveOpens ?? 0)
                json.member("lastFailureTime", admin?.openedAt)
            }
            json.member("config") { json in
                json.member("enableMocking", false)
                json.member("timeout", Int(settings.litellmTimeout.inMilliseconds))
            }
        }
        json.member("breakers", breakers.map { BreakerView(breaker: $0) })
    }

    private struct Problem: JSONRepresentable {
        var code: String
        var message: String
        var since: Date?
        var jobs: Int?
        var jobId: Int64?

        func write(to json: inout JSONWriter) {
            json.object { json in
                json.member("code", code)
                json.member("message", message)
                json.member("since", since)
                json.member("jobs", jobs)
                json.member("jobId", jobId.map { String($0) })
            }
        }
    }

    private struct BreakerView: JSONRepresentable {
        let breaker: BreakerStatus

        func write(to json: inout JSONWriter) {
            json.object { json in
                json.member("name", breaker.name)
                json.member("state", breaker.state)
                json.member("openedAt", breaker.openedAt)
                json.member("retryAt", breaker.retryAt)
                json.member("reason", breaker.reason)
            }
        }
    }
}
