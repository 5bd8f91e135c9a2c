import Synchronization

/// LiteLLM's answers while its database is down: five statuses for one outage, most of them misleading.
final class DatabaseDown: Sendable {
    /// What was seen while all was well, and is still believed for a while.
    private struct Memory {
        var readyUntil: ContinuousClock.Instant?
        var keysUntil: [String: ContinuousClock.Instant] = [:]
    }

    /// How long LiteLLM remembers that its database answered.
    private static let readinessAge = Duration.seconds(15)
    /// How long it remembers a key.
    private static let keyAge = Duration.seconds(60)
    private static let server = "127.0.0.1:5432"
    private static let unreachable = """
        Can't reach database server at `\(server)`\n\nPlease make sure your database server is running at `\(server)`.
        """
    private static let notConnected =
        "Client is not connected to the query engine, you must call `connect()` before attempting to query data."
    private static let closed = "Server has closed the connection."

    private let memory = Mutex(Memory())
    private let masterKey: String

    init(masterKey: String) { self.masterKey = masterKey }

    /// Notes a call that went well, so that the caches can be imitated.
    func remember(_ call: Call, status: Int) {
        guard status == 200 else { return }
        let now = ContinuousClock.now
        if call.path == "/health/readiness" { memory.withLock { $0.readyUntil = now + Self.readinessAge } }
        if let secret = Authentication.credential(of: call) {
            memory.withLock { memory in
                memory.keysUntil = memory.keysUntil.filter { $0.value > now }
                memory.keysUntil[Identifier.sha256(secret)] = now + Self.keyAge
            }
        }
    }

    /// Forgets what was seen.
    func reset() { memory.withLock { $0 = Memory() } }

    /// The answer of the outage, or nil where LiteLLM answers as usual.
    func answer(to call: Call) -> Answer? {
        if call.path.hasPrefix("/health/live") { return nil }
        let now = ContinuousClock.now
        if call.path == "/health/readiness" {
            let believesReady = memory.withLock { $0.readyUntil.map { $0 > now } ?? false }
            return believesReady ? nil : Answer(["status": "healthy", "db": "disconnected"], status: 503)
        }
        guard let secret = Authentication.credential(of: call) else { return nil }
        let isMaster = Authentication.constantTimeEqual(secret, masterKey)
        if !isMaster {
            let known = memory.withLock { $0.keysUntil[Identifier.sha256(secret)].map { $0 > now } ?? false }
            guard known else { return Self.unavailable.answer }
        }
        if Self.worksWithoutDatabase(call) { return nil }
        return Self.refusal(call).answer
    }

    private static func worksWithoutDatabase(_ call: Call) -> Bool {
        ["/models", "/v1/models"].contains(call.path) || call.path.hasSuffix("/chat/completions")
            || call.path.hasSuffix("/embeddings")
    }

    private static let unavailable = Refusal.error(
        503, "Service Unavailable, the authentication database is temporarily unreachable. Please retry shortly.",
        type: "no_db_connection", param: "None")

    private static func refusal(_ call: Call) -> Refusal {
        let body = JSON(parsing: call.body) ?? .null
        switch call.path {
        case "/key/generate":
            return body["key"] == nil ? .error(500, closed) : .dictionary(500, "Internal Server Error.")
        case "/key/info": return .error(500, closed)
        case "/key/list": return .error(500, "Authentication Error, \(unreachable)", param: "None")
        case "/key/delete", "/user/new": return .error(500, unreachable)
        case "/user/info", "/team/new", "/team/update": return .error(500, notConnected)
        case "/key/update", "/user/update":
            return .error(400, "Authentication Error, \(unreachable)", type: "auth_error", param: "None")
        case "/team/info": return Teams.absentFromInfo(call.query["team_id"] ?? "")
        case "/team/member_add": return TeamMembers.absentTeam(body["team_id"]?.string ?? "")
        case "/team/delete": return Teams.absentFromDelete(body["team_ids"]?.strings.first ?? "")
        case "/user/daily/activity", "/user/daily/activity/aggregated":
            return .detail(500, "Failed to fetch analytics: \(notConnected)")
        case "/model/new":
            return .dictionary(
                500, "Failed to add model to db. Check your server logs for more details.", type: "auth_error",
                param: "None")
        default: return unavailable
        }
    }
}
