import Foundation
import Shared
import TestSupport

/// Everything a database holds, as `pg_dump` writes it.
enum DatabaseDump {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Dumps the whole database as SQL. Throws when there is no `pg_dump` or it fails.
    static func data(of database: TestDatabase, into directory: URL) async throws -> Data {
        let file = directory.appending(path: "dump-\(UUID().uuidString).sql")
        let errors = directory.appending(path: "pg_dump.log")
        let process = try ChildProcess(
            program(), ["--no-password", "--file", file.path, "--dbname", database.url.reveal()],
            environment: ProcessInfo.processInfo.environment, output: errors)
        guard await process.wait() == 0 else {
            throw Failure(description: "pg_dump failed: \(try String(contentsOf: errors, encoding: .utf8))")
        }
        return try Data(contentsOf: file)
    }

    private static func program() throws -> URL {
        let environment = ProcessInfo.processInfo.environment
        let versions = "/usr/lib/postgresql"
        let installed =
            FileManager.default.fileExists(atPath: versions)
            ? try FileManager.default.contentsOfDirectory(atPath: versions).sorted().reversed() : []
        let directories =
            [environment["PG_BIN"]].compactMap(\.self) + installed.map { "\(versions)/\($0)/bin" }
            + (environment["PATH"] ?? "").split(separator: ":").map(String.init)
        let candidates = directories.map { URL(filePath: $0).appending(path: "pg_dump") }
        guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0.path) }) else {
            throw Failure(description: "pg_dump was not found; PG_BIN can name its directory")
        }
        return found
    }
}
