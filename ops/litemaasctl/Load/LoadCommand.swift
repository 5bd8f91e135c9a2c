import ArgumentParser
import Foundation
import Logging
import Shared

/// `litemaasctl load`: load for a running installation, and how it stands it.
struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Puts load on a running installation and measures it.",
        subcommands: [LoadKeysCommand.self])
}

/// `litemaasctl load keys`.
struct LoadKeysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "Asks for many API keys, and with --wait follows their jobs to the end.",
        discussion: """
            The keys are real: they stay until somebody deletes them. Without a token the users are made through \
            POST /api/auth/dev-token, which exists only where MOCK_AUTH is on.

            Ends 0 when every key was accepted and, with --wait, every job succeeded.
            """)

    @Option(help: "The API.")
    var api = "http://127.0.0.1:8080"

    @Option(help: "How many keys to ask for.")
    var count = 100

    @Option(help: "How many users ask, in turn; each has its own session.")
    var users = 1

    @Option(help: "Requests at a time.")
    var concurrency = 16

    @Option(help: "Keys asked for in a second. Left out: as many as are answered.")
    var perSecond: Double?

    @Option(help: "How the keys' names begin.")
    var name = "load"

    @Option(help: "How the users' names begin; the same name is the same user.")
    var userName = "load-user"

    @Option(help: "The model the keys are for. Left out: the first one.")
    var model: String?

    @Option(
        help:
            "The session to use, instead of made-up users. LITEMAAS_TOKEN does the same and shows in no list of processes."
    )
    var token: String?

    @Flag(help: "Follow the jobs until they have ended.")
    var wait = false

    @Option(help: "How long to follow them, in seconds.")
    var timeout = 600

    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        guard (1...1_000_000).contains(count) else { throw ValidationError("--count is 1 to 1000000") }
        guard (1...10_000).contains(users) else { throw ValidationError("--users is 1 to 10000") }
        guard (1...1000).contains(concurrency) else { throw ValidationError("--concurrency is 1 to 1000") }
        guard perSecond.map({ $0 > 0 }) ?? true else { throw ValidationError("--per-second is above 0") }
        guard timeout > 0 else { throw ValidationError("--timeout is above 0") }
        guard session == nil || users == 1 else { throw ValidationError("with a token there is one user") }
    }

    private var session: Secret? {
        (token ?? ProcessInfo.processInfo.environment["LITEMAAS_TOKEN"]).map { Secret($0) }
    }

    func run() async throws {
        let logger = Logger(label: "litemaasctl") { _ in SwiftLogNoOpLogHandler() }
        let transport = CurlTransport(
            settings: HTTPSettings(maxConnectionsPerHost: concurrency, maxConnections: concurrency), logger: logger)
        let load = KeyLoad(
            plan: KeyLoad.Plan(
                count: count, users: users, concurrency: concurrency, perSecond: perSecond, name: name,
                userName: userName, model: model, session: session,
                following: wait ? .seconds(timeout) : nil),
            client: LoadClient(transport: transport, api: api))
        let report: LoadReport
        do {
            report = try await load.run()
        } catch {
            await transport.shutdown()
            throw error
        }
        await transport.shutdown()
        if output.json { try Console.printJSON(report) } else { Console.print(report.text) }
        if !report.isGood { throw ExitStatus.failed }
    }
}
