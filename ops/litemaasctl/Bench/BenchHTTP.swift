import ArgumentParser
import Foundation
import Logging
import Shared
import Synchronization

/// What an API answered under load.
struct HTTPReport: Encodable, Sendable {
    struct Part: Encodable, Sendable {
        var name: String
        var requests: Int
        var refused: Int
        var seconds: Double
        var perSecond: Double
        var latencyMilliseconds: BenchResult.Latency
        /// What the first refusals said.
        var problems: [String]

        var text: String {
            let latency = latencyMilliseconds
            return
                ([
                    "\(name): \(plain(perSecond)) requests/s (\(requests) in \(plain(seconds)) s, \(refused) refused); "
                        + "p50 \(latency.p50) ms, p95 \(latency.p95) ms, p99 \(latency.p99) ms, max \(latency.max) ms"
                ] + problems.map { "  problem  \($0)" }).joined(separator: "\n")
        }
    }
    var connections: Int
    var parts: [Part]
}

/// `litemaasctl bench http`.
struct BenchHTTPCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "http", abstract: "Keys asked for and jobs read from a running API, as fast as it answers.",
        discussion: """
            For an installation to try things on: it makes users and keys there, through POST /api/auth/dev-token, \
            which exists only where MOCK_AUTH is on. The client shares the machine with what it measures: with wrk the \
            figures are higher.
            """)

    @Option(help: "The API.")
    var api = "http://127.0.0.1:8080"
    @Option(help: "Connections at once.")
    var connections = 256
    @Option(help: "Keys to ask for.")
    var writes = 2000
    @Option(help: "Users who ask for them; each may hold only so many keys.")
    var users = 250
    @Option(help: "Seconds of reading.")
    var duration = 10
    @OptionGroup var output: OutputOptions

    func validate() throws {
        try BenchLimit.check(connections, "--connections", 1...10_000)
        try BenchLimit.check(writes, "--writes", 1...1_000_000)
        try BenchLimit.check(users, "--users", 1...100_000)
        try BenchLimit.check(duration, "--duration", 1...3600)
    }

    func run() async throws {
        let logger = Logger(label: "litemaasctl") { _ in SwiftLogNoOpLogHandler() }
        let transport = CurlTransport(
            settings: HTTPSettings(maxConnectionsPerHost: connections, maxConnections: connections), logger: logger)
        let client = LoadClient(transport: transport, api: api)
        let report: HTTPReport
        do {
            report = try await measure(client)
        } catch {
            await transport.shutdown()
            throw error
        }
        await transport.shutdown()
        if output.json {
            try Console.printJSON(report)
        } else {
            Console.print(report.parts.map(\.text).joined(separator: "\n"))
        }
        if report.parts.contains(where: { $0.refused > 0 }) { throw ExitStatus.failed }
    }

    private func measure(_ client: LoadClient) async throws -> HTTPReport {
        let run = UUID().uuidString.prefix(8).lowercased()
        var sessions: [Secret] = []
        for number in 1...users {
            sessions.append(try await client.session(of: "bench-\(run)-\(number)"))
            if number % 100 == 0 { Console.error("http: \(number) of \(users) users") }
        }
        let model = try await client.firstModel(session: sessions[0])
        for session in sessions { try await client.subscribe(session: session, to: model) }
        let everyone = sessions
        let made = HTTPTally()
        let writing = try await made.part("POST /api/v1/api-keys", connections) { number in
            guard number < writes else { return nil }
            let body: JSONValue = ["name": .string("bench-\(number)"), "modelIds": [.string(model)]]
            let session = everyone[number % everyone.count]
            let answer = try await client.send(.post, "/api/v1/api-keys", body, session: session)
            if let id = answer.body["job"]?["id"]?.stringValue { await made.add(job: id, of: session) }
            return answer
        }
        let jobs = await made.jobs
        guard !jobs.isEmpty else { return HTTPReport(connections: connections, parts: [writing]) }
        let end = ContinuousClock.now + .seconds(duration)
        let reading = try await HTTPTally().part("GET /api/v1/jobs/{id}", connections) { number in
            guard end > .now else { return nil }
            let (id, session) = jobs[number % jobs.count]
            return try await client.send(.get, "/api/v1/jobs/\(id)", session: session)
        }
        return HTTPReport(connections: connections, parts: [writing, reading])
    }
}

/// Collects answers of many callers.
private actor HTTPTally {
    private(set) var jobs: [(String, Secret)] = []
    private var waits: [Double] = []
    private var refused = 0
    private var problems: Set<String> = []
    private let next = SharedCount()

    func add(job: String, of session: Secret) { jobs.append((job, session)) }

    /// Sends requests by so many callers, each its next one after the last answer, until `send` gives nil.
    func part(
        _ name: String, _ callers: Int, _ send: @escaping @Sendable (Int) async throws -> LoadClient.Answer?
    ) async throws -> HTTPReport.Part {
        let started = ContinuousClock.now
        try await BenchProgress.during(name, of: nil, count: { [next] in next.now }) {
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<callers {
                    group.addTask { await self.ask(send) }
                }
            }
        }
        let seconds = (.now - started).inSeconds
        return HTTPReport.Part(
            name: name, requests: waits.count, refused: refused, seconds: rounded(seconds, 2),
            perSecond: rounded(Double(waits.count) / seconds, 0), latencyMilliseconds: .init(milliseconds: waits),
            problems: Array(problems.sorted().prefix(5)))
    }

    private nonisolated func ask(_ send: @Sendable (Int) async throws -> LoadClient.Answer?) async {
        while true {
            let number = next.value.add(1, ordering: .relaxed).oldValue
            do {
                guard let answer = try await send(number) else { return }
                let isGood = (200..<300).contains(answer.status)
                await note(answer.took, problem: isGood ? nil : "\(answer.status) \(answer.message)")
            } catch {
                await note(nil, problem: "\(error)")
            }
        }
    }

    private func note(_ took: Duration?, problem: String?) {
        if let took { waits.append(took.inSeconds * 1000) }
        if let problem {
            refused += 1
            if problems.count < 20 { problems.insert(problem) }
        }
    }
}
