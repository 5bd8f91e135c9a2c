import Foundation
import Glibc
import Logging
package import Shared
import Testing

/// A PgBouncer of its own for one test, in front of the scratch cluster.
package struct PgBouncer: Sendable {
    /// How long a client keeps a server connection.
    package enum Mode: String, Sendable {
        case session, transaction
    }

    static let path = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"]
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    private let process: ChildProcess
    private let directory: URL
    private let port: Int

    /// Starts one that passes every user and database on; cancels the test when the program is not installed.
    package static func start(mode: Mode) async throws -> PgBouncer {
        guard let path else { try Test.cancel("pgbouncer is not installed (apt-get install pgbouncer)") }
        let server = try #require(TestDatabaseServer.url.flatMap { URLComponents(string: $0.reveal()) })
        var last: (any Error)?
        for _ in 0..<5 {
            do {
                return try await start(path, mode, server)
            } catch {
                // The port was taken.
                last = error
            }
        }
        throw last ?? TestDatabaseServer.Unavailable(description: "pgbouncer did not start")
    }

    private static func start(_ path: String, _ mode: Mode, _ server: URLComponents) async throws -> PgBouncer {
        let directory = FileManager.default.temporaryDirectory.appending(path: "pgbouncer-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let port = Int.random(in: 20_000...29_999)
        let host = server.host ?? "127.0.0.1"
        let password = server.password.map { " password=\($0)" } ?? ""
        let configuration = """
            [databases]
            * = host=\(host) port=\(server.port ?? 5432) user=\(server.user ?? "postgres")\(password)
            [pgbouncer]
            listen_addr = 127.0.0.1
            listen_port = \(port)
            unix_socket_dir =
            auth_type = any
            pool_mode = \(mode.rawValue)
            default_pool_size = 4
            ignore_startup_parameters = extra_float_digits
            """
        let file = directory.appending(path: "pgbouncer.ini")
        try configuration.write(to: file, atomically: true, encoding: .utf8)
        // It refuses to run as root.
        let isRoot = ProcessInfo.processInfo.userName == "root"
        if isRoot {
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: directory.path)
        }
        let process = try ChildProcess(
            URL(filePath: path), ["-q"] + (isRoot ? ["-u", "postgres"] : []) + [file.path], environment: [:])
        let pooler = PgBouncer(process: process, directory: directory, port: port)
        do {
            try await pooler.waitUntilReady(server)
        } catch {
            await pooler.stop()
            throw error
        }
        return pooler
    }

    private func waitUntilReady(_ server: URLComponents) async throws {
        var settings = PostgresSettings(url: url(database: "postgres"))
        settings.leaseTimeout = .seconds(5)
        settings.poolMode = .transaction
        let client = PostgresClient(settings: settings, logger: .init(label: "pgbouncer"))
        let outcome: Result<Int, any Error>
        do {
            outcome = .success(try await client.query("select 1").count)
        } catch {
            outcome = .failure(error)
        }
        await client.close()
        _ = try outcome.get()
    }

    private func url(database: String) -> Secret {
        let user = TestDatabaseServer.url.flatMap { URLComponents(string: $0.reveal())?.user } ?? "postgres"
        return Secret("postgres://\(user)@127.0.0.1:\(port)/\(database)")
    }

    /// The connection string of a test's database through the pooler.
    package func url(for database: TestDatabase) -> Secret {
        url(database: database.name)
    }

    /// Makes it deaf and dumb while its sockets stay open.
    package func suspend() {
        process.signal(SIGSTOP)
    }

    /// Lets it go on.
    package func resume() {
        process.signal(SIGCONT)
    }

    /// Ends it at once.
    package func stop() async {
        process.signal(SIGKILL)
        _ = await process.wait()
        do {
            try FileManager.default.removeItem(at: directory)
        } catch {
            Issue.record("\(directory.path) is left behind: \(error)")
        }
    }
}
