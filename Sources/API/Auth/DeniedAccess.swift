import Foundation
import HTTPTypes
import Hummingbird
import Logging
import Shared
import Synchronization

/// Writes down who tried what they may not: once a minute for each caller and route, so that a loop does not fill the
/// audit log.
final class DeniedAccess: Sendable {
    /// Callers and routes of one minute; what goes beyond is only in the access log.
    private static let limit = 1000

    private struct Minute {
        var number: Int64 = 0
        var seen: Set<String> = []
    }

    private let minute = Mutex(Minute())
    private let database: PostgresClient
    private let audit = PostgresAuditStore()
    private let logger: Logger

    init(database: PostgresClient, logger: Logger) {
        self.database = database
        self.logger = logger
    }

    /// A caller lacks the permission that a route asks for.
    func note(_ call: AuthenticatedCall, lacking permission: Permission) async {
        let route = "\(call.request.method.rawValue) \(call.context.endpointPath ?? "unknown")"
        guard isNew("\(call.principal.id) \(route)") else { return }
        do {
            try await audit.append(
                AuditEntry(
                    actor: call.actor, action: "ACCESS_DENIED", resourceType: "SECURITY", resourceId: nil,
                    success: false, errorMessage: "The permission \(permission.rawValue) is missing.",
                    metadata: ["route": .string(route), "permission": .string(permission.rawValue)]),
                in: database)
        } catch {
            // The refusal stands whether it is written down or not.
            logger.warning("a denied access could not be audited", metadata: ["error": "\(error)"])
        }
    }

    private func isNew(_ attempt: String) -> Bool {
        let now = Int64(Date().timeIntervalSince1970 / 60)
        return minute.withLock { minute in
            if minute.number != now { minute = Minute(number: now) }
            guard minute.seen.count < Self.limit else { return false }
            return minute.seen.insert(attempt).inserted
        }
    }
}
