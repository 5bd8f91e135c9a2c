import Hummingbird
import Jobs
import Shared

/// How far LiteLLM and this system agree, and what a person should know of. Nothing here calls LiteLLM.
struct IntegrationRoutes: RouteGroup {
    let database: PostgresClient
    private let integration = PostgresIntegrationStore()
    private let breakers = PostgresBreakerStore()

    init(database: PostgresClient) { self.database = database }

    var routes: [Route] {
        [
            .permitted(.jobsReadAll, .get, "/api/v1/integration/health", health),
            .permitted(.jobsReadAll, .get, "/api/v1/integration/alerts", alerts),
        ]
    }

    private func health(_ call: AuthenticatedCall) async throws -> Response {
        let found = try await integration.health(in: database)
        let breaker = try await breakers.statuses(in: database).first { $0.name == Upstream.litellmAdmin.rawValue }
        let status =
            switch breaker?.state {
            case "closed", "forced_closed", nil: "connected"
            case "ramping": "recovering"
            default: "disconnected"
            }
        return .json(
            Members { json in
                json.member("liteLLMConnection") { json in
                    json.member("status", status)
                    // Workers measure it: see litemaas_litellm_call_duration_seconds in /metrics.
                    json.nullMember("responseTime")
                    json.nullable("lastChecked", found.lastCall ?? found.lastSync)
                }
                json.member("syncStatus") { json in
                    json.nullable("lastGlobalSync", found.lastSync)
                    json.nullable("nextScheduledSync", found.nextSync)
                    json.member("pendingSyncs", found.pending)
                    json.member("failedSyncs", found.failed)
                }
                json.member("dataConsistency") { json in
                    json.member("usersInSync", found.users.inSync)
                    json.member("usersOutOfSync", found.users.outOfSync)
                    json.member("teamsInSync", found.teams.inSync)
                    json.member("teamsOutOfSync", found.teams.outOfSync)
                    json.member("apiKeysInSync", found.keys.inSync)
                    json.member("apiKeysOutOfSync", found.keys.outOfSync)
                    json.member("modelsInSync", found.models.inSync)
                    json.member("modelsOutOfSync", found.models.outOfSync)
                }
            })
    }

    private func alerts(_ call: AuthenticatedCall) async throws -> Response {
        let found = try await Alerts().list(in: database)
        return .json(
            Members { json in
                json.member("alerts", found.alerts.map { AlertView(alert: $0) })
                json.member("budgetAlerts", found.budgetAlerts)
            })
    }
}

/// Something that a person should know of.
struct AlertView: JSONRepresentable {
    let alert: Alert

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("type", alert.type.rawValue)
            json.member("severity", alert.severity.rawValue)
            json.member("message", alert.message)
            json.member("createdAt", alert.createdAt)
            json.member("entityType", alert.entityType)
            json.member("entityId", alert.entityId)
            json.member("count", alert.count)
        }
    }
}
