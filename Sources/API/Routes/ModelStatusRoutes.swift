import Foundation
import Hummingbird
import Jobs
import Shared

/// What the catalogue offers as a whole, and how well it agrees with LiteLLM. Nothing here calls LiteLLM.
struct ModelStatusRoutes: RouteGroup {
    /// Models and sentences that one answer names.
    private static let listLimit = 1000
    private static let issueLimit = 50
    /// Older than this the catalogue is doubted, unless it is read more rarely on purpose.
    private static let staleAfter: TimeInterval = 86_400

    let database: PostgresClient
    private let models = PostgresModelStore()
    private let breakers = PostgresBreakerStore()

    init(database: PostgresClient) { self.database = database }

    var routes: [Route] {
        [
            .open(.get, "/api/v1/models/providers", providers),
            .open(.get, "/api/v1/models/capabilities", capabilities),
            .open(.get, "/api/v1/models/health", health),
            .permitted(.modelsRead, .get, "/api/v1/models/sync/stats", statistics),
            .permitted(.modelsRead, .get, "/api/v1/models/validate", validate),
        ]
    }

    private func providers(_ call: Call) async throws -> Response {
        let offers = try await offers()
        return .json(Members { $0.member("providers", ProviderView.all(offers)) })
    }

    private func capabilities(_ call: Call) async throws -> Response {
        let offers = try await offers()
        return .json(Members { $0.member("capabilities", CapabilityView.all(offers)) })
    }

    private func offers() async throws -> [ModelOffer] {
        let offers = try await models.offers(in: database)
        guard offers.isEmpty, try await models.isUntouched(in: database) else { return offers }
        return SampleModels.offers
    }

    private func statistics(_ call: AuthenticatedCall) async throws -> Response {
        let counts = try await models.counts(in: database)
        return .json(
            Members { json in
                json.member("totalModels", counts.total)
                json.member("availableModels", counts.available)
                json.member("unavailableModels", counts.unavailable)
                json.member("lastSyncAt", counts.syncedAt)
            })
    }

    private func validate(_ call: AuthenticatedCall) async throws -> Response {
        let findings = try await models.findings(limit: Self.listLimit, in: database)
        return .json(
            Members { json in
                json.member("validModels", findings.valid)
                json.member("invalidModels", findings.invalid)
                json.member("orphanedSubscriptions", findings.orphanedSubscriptions)
            })
    }

    private func health(_ call: Call) async throws -> Response {
        let counts = try await models.counts(in: database)
        let last = try await models.lastSync(in: database)
        let breaker = try await breakers.statuses(in: database).first { $0.name == Upstream.litellmAdmin.rawValue }
        let isConnected = breaker?.admits ?? true
        var issues: [String] = []
        if !isConnected { issues.append("Calls to LiteLLM are held back\(breaker?.reason.map { ": \($0)" } ?? ".")") }
        if counts.available == 0 { issues.append("No model can be used.") }
        if let last, !last.record.success { issues += last.record.problems }
        if let syncedAt = counts.syncedAt {
            if Date().timeIntervalSince(syncedAt) > Self.staleAfter {
                issues.append("Models were last read from LiteLLM more than a day ago.")
            }
        } else {
            issues.append("Models were never read from LiteLLM completely.")
        }
        let status = !isConnected || counts.available == 0 ? "error" : issues.isEmpty ? "healthy" : "warning"
        let shown = Array(issues.prefix(Self.issueLimit))
        return .json(
            Members { json in
                json.member("status", status)
                json.member("lastSync", last?.finishedAt)
                json.member("modelsCount", counts.available)
                json.member("litellmConnected", isConnected)
                json.member("issues", shown)
            })
    }
}
