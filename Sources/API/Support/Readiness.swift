import Logging
import Shared

/// Whether this process can serve requests: its database answers, and has the schema this version needs. LiteLLM has
/// no say in it: without it requests are accepted all the same.
struct Readiness: Sendable {
    private static let limit: Duration = .seconds(2)

    private let check: @Sendable () async throws -> Void
    private let logger: Logger

    init(database: PostgresClient, logger: Logger) {
        check = { try await Migrator.requireCurrent(client: database, atLeast: SchemaVersion.required) }
        self.logger = logger
    }

    /// One sentence on why requests cannot be served; nil when they can. Answers within two seconds.
    func problem() async -> String? {
        do {
            try await withDeadline(Self.limit, check)
            return nil
        } catch let error as MigrationError {
            return error.description
        } catch {
            logger.warning("the database does not answer", metadata: ["error": "\(error)"])
            return "The database does not answer."
        }
    }
}

/// The work took longer than it may.
struct DeadlineExceeded: Error {}

/// Runs `work` for at most `limit`; then it is cancelled and `DeadlineExceeded` thrown.
func withDeadline<Result: Sendable>(
    _ limit: Duration, _ work: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Result.self) { group in
        group.addTask { try await work() }
        group.addTask {
            try await Task.sleep(for: limit)
            throw DeadlineExceeded()
        }
        defer { group.cancelAll() }
        guard let result = try await group.next() else { throw DeadlineExceeded() }
        return result
    }
}
