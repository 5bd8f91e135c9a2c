import Foundation
package import Logging

/// The database itself, as an object of its server: whether it is there, and how it comes to be.
package struct PostgresDatabaseStore: Sendable {
    private let settings: PostgresSettings
    private let logger: Logger

    /// The database that the direct URL of `settings` names.
    package init(settings: PostgresSettings, logger: Logger) {
        self.settings = settings
        self.logger = logger
    }

    /// Creates the database unless it is there; gives whether it was created.
    ///
    /// Throws `PostgresError` when the server cannot be reached, names no database, or does not allow it.
    package func createIfAbsent() async throws -> Bool {
        guard let name = Self.databaseName(in: settings.directURL) else {
            throw PostgresError(.connection, "the connection string names no database")
        }
        do {
            return try await createIfAbsent(name)
        } catch let error as PostgresError {
            // Not every account may use the server's own database, or create one; it need not if ours is there.
            guard await isReachable() else { throw error }
            return false
        }
    }

    /// Asks from `postgres`, the database that every server has.
    private func createIfAbsent(_ name: String) async throws -> Bool {
        try await withClient(url: Self.url(settings.directURL, database: "postgres")) { client in
            guard try await client.query("select 1 from pg_database where datname = \(name)").isEmpty else {
                return false
            }
            do {
                try await client.query("create database \(identifier: name)")
                return true
            } catch let error as PostgresError where error.sqlState == "42P04" || error.sqlState == "23505" {
                return false
            }
        }
    }

    private func isReachable() async -> Bool {
        do {
            return try await withClient(url: settings.directURL) { try await !$0.query("select 1").isEmpty }
        } catch {
            logger.debug("the database does not answer", metadata: ["reason": "\(error)"])
            return false
        }
    }

    private func withClient<Result: Sendable>(
        url: Secret, _ body: (PostgresClient) async throws -> Result
    ) async throws -> Result {
        var settings = settings
        settings.url = url
        settings.directURL = url
        settings.poolMode = .session
        settings.minConnections = 0
        let client = PostgresClient(settings: settings, logger: logger)
        do {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    /// The database that a connection string names; nil where it leaves that to libpq.
    static func databaseName(in url: Secret) -> String? {
        let text = url.reveal()
        guard let scheme = text.range(of: "://") else {
            let pattern = /(?:^|\s)dbname\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s']+))/
            guard let match = text.matches(of: pattern).last else {
                return nil
            }
            return (match.1 ?? match.2).map { String($0).replacing(/\\(.)/) { $0.1 } }
        }
        let parts = text[scheme.upperBound...].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        // Of two values libpq takes the later one, and a parameter over the path.
        if parts.count == 2, let match = parts[1].matches(of: /(?:^|&)dbname=([^&]+)/).last {
            return String(match.1).removingPercentEncoding
        }
        guard let slash = parts[0].firstIndex(of: "/") else { return nil }
        let name = parts[0][parts[0].index(after: slash)...]
        return name.isEmpty ? nil : String(name).removingPercentEncoding
    }

    /// The same server with another database.
    static func url(_ url: Secret, database: StaticString) -> Secret {
        let text = url.reveal()
        guard text.contains("://") else { return Secret("\(text) dbname=\(database)") }
        return Secret("\(text)\(text.contains("?") ? "&" : "?")dbname=\(database)")
    }
}
