import Shared

/// Deletes files of usage that nobody can fetch any more, and single requests past their time.
package struct UsagePurge: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// Files.
        package var exports: Int
        /// Single requests.
        package var requests: Int
    }

    private static let files = 20
    private static let rows = 5000

    package static let name = "usage.purge"
    package static let queue = "usage"
    package static let timeout: Duration = .seconds(600)

    /// Days that single requests are kept; 1 or more.
    package let requestDays: Int

    package init(requestDays: Int) {
        self.requestDays = requestDays
    }

    package var orderKey: String? { Self.name }
    package var uniqueKey: String? { Self.name }

    package func run(in context: JobContext) async throws -> Output {
        guard (1...3650).contains(requestDays) else {
            throw JobFailure.permanent(
                code: "invalid_retention",
                message: "requestDays is \(requestDays); use 1 to 3650 in the schedule's parameters.")
        }
        let database = context.services.database
        let exports = try await all(Self.files) { limit in
            try await PostgresUsageExportStore().purge(limit: limit, in: database)
        }
        let requests = try await all(Self.rows) { limit in
            try await PostgresUsageLogStore().purge(olderThanDays: requestDays, limit: limit, in: database)
        }
        return Output(exports: exports, requests: requests)
    }

    private func all(_ batch: Int, _ purge: (_ limit: Int) async throws -> Int) async throws -> Int {
        var total = 0
        while true {
            let purged = try await purge(batch)
            total += purged
            guard purged == batch else { return total }
            try Task.checkCancellation()
        }
    }
}
