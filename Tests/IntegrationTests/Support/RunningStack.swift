import Foundation
import Glibc
import Logging
import Shared
import Synchronization
import TestSupport

/// API, worker and simulated LiteLLM as processes of their own on one database, logging all they can.
struct RunningStack: Sendable {
    /// What did not come about in time, or was refused.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// The installation's own secrets.
    struct Secrets: Sendable {
        let masterKey = "sk-" + random(24).base64EncodedString().filter { $0.isLetter || $0.isNumber }
        let jwtSecret = random(48).base64EncodedString()
        let sealingKey = random(32)

        private static func random(_ count: Int) -> Data {
            Data((0..<count).map { _ in UInt8.random(in: .min ... .max) })
        }
    }

    /// A LiteLLM that is not the stack's own.
    struct RealLiteLLM: Sendable {
        let url: String
        let masterKey: String

        /// Nil where the variables of the contract tests name none.
        init?(_ environment: [String: String]) {
            guard let url = environment["LITELLM_API_URL"], let key = environment["LITELLM_API_KEY"] else { return nil }
            (self.url, masterKey) = (url, key)
        }
    }

    /// The worker, which a test may kill and start again.
    private final class WorkerProgram: Sendable {
        private let running: Mutex<(program: RunningProgram, number: Int)>
        private let start: @Sendable (_ number: Int) throws -> RunningProgram

        init(_ start: @escaping @Sendable (_ number: Int) throws -> RunningProgram) throws {
            self.start = start
            running = Mutex((try start(1), 1))
        }

        var current: RunningProgram { running.withLock { $0.program } }

        func replace() throws {
            try running.withLock { $0 = (try start($0.number + 1), $0.number + 1) }
        }
    }

    struct Answer: Sendable {
        let status: Int
        let body: JSONValue
    }

    let secrets = Secrets()
    let directory: URL
    let callLog: URL
    private let litellm: String
    /// The API's address.
    let api: String
    private let masterKey: String
    /// Nil where a real LiteLLM stands in for it.
    private let simulator: RunningProgram?
    private let apiProgram: RunningProgram
    private let worker: WorkerProgram
    private let transport: CurlTransport

    /// The files that were written to, by what they are.
    var logs: [String: URL] {
        var logs = [
            "the API's log": apiProgram.log, "the worker's log": worker.current.log, "the call log": callLog,
        ]
        logs["the simulator's log"] = simulator?.log
        return logs
    }

    /// Runs `body` with a stack, which is stopped and whose files are removed afterwards.
    ///
    /// - Parameter litellm: in place of the simulator.
    static func with<T>(
        _ database: TestDatabase, litellm: RealLiteLLM? = nil, logLevel: String = "trace",
        _ body: (RunningStack) async throws -> T
    ) async throws -> T {
        let directory = FileManager.default.temporaryDirectory.appending(path: "litemaas-stack-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { removeDirectory(directory) }
        let stack = try RunningStack(database, litellm: litellm, logLevel: logLevel, directory: directory)
        do {
            try await stack.waitUntilReady()
            let result = try await body(stack)
            await stack.stop()
            return result
        } catch {
            await stack.stop()
            throw error
        }
    }

    private static func removeDirectory(_ directory: URL) {
        do { try FileManager.default.removeItem(at: directory) } catch { print("left behind: \(directory.path)") }
    }

    private init(
        _ database: TestDatabase, litellm real: RealLiteLLM?, logLevel: String, directory: URL
    ) throws {
        self.directory = directory
        callLog = directory.appending(path: "calls.jsonl")
        let ports = try (0..<3).map { _ in try freePort() }
        litellm = real?.url ?? "http://127.0.0.1:\(ports[0])"
        masterKey = real?.masterKey ?? secrets.masterKey
        api = "http://127.0.0.1:\(ports[1])"
        transport = CurlTransport(logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let environment = [
            "ENV_FILE": "none", "APP_ENV": "development", "MOCK_AUTH": "true", "HOST": "127.0.0.1",
            "PORT": "\(ports[1])", "WORKER_PORT": "\(ports[2])", "PUBLIC_URL": api,
            "DATABASE_URL": database.url.reveal(), "LITELLM_API_URL": litellm, "LITELLM_API_KEY": masterKey,
            "JWT_SECRET": secrets.jwtSecret, "SECRETS_KEYS": "k1:\(secrets.sealingKey.base64EncodedString())",
            "LOG_LEVEL": logLevel, "LOG_FORMAT": "json",
            // Tests ask more often than people do.
            "RATE_LIMIT_GLOBAL": "0", "RATE_LIMIT_AUTHENTICATED": "0", "RATE_LIMIT_API_KEY": "0",
            "RATE_LIMIT_ADMIN": "0", "RATE_LIMIT_LOGIN": "0",
        ]
        simulator =
            real != nil
            ? nil
            : try RunningProgram(
                "litellm-simulator", ["--port", "\(ports[0])", "--call-log", callLog.path],
                environment: ["LITELLM_MASTER_KEY": secrets.masterKey, "LOG_LEVEL": logLevel],
                log: directory.appending(path: "litellm.log"))
        apiProgram = try RunningProgram(
            "litemaas-api", environment: environment, log: directory.appending(path: "api.log"))
        worker = try WorkerProgram { number in
            try RunningProgram(
                "litemaas-worker", environment: environment,
                log: directory.appending(path: number == 1 ? "worker.log" : "worker-\(number).log"))
        }
    }

    /// Kills the worker as a power cut would, and starts another one.
    func killAndRestartWorker() async throws {
        worker.current.signal(SIGKILL)
        await worker.current.stop()
        try worker.replace()
    }

    /// Ends the programs; then their logs are complete.
    func stop() async {
        await worker.current.stop()
        await apiProgram.stop()
        await simulator?.stop()
        await transport.shutdown()
    }

    // MARK: Requests

    /// A request to the API. Throws when there is no answer.
    func send(
        _ method: HTTPClientRequest.Method, _ path: String, _ body: JSONValue? = nil, token: String? = nil,
        headers: [(String, String)] = []
    ) async throws -> Answer {
        try await send(method, url: api + path, body, token: token, headers: headers)
    }

    /// A request to LiteLLM, as its administrator unless a key is given.
    func litellm(
        _ method: HTTPClientRequest.Method, _ path: String, _ body: JSONValue? = nil, key: String? = nil
    ) async throws -> Answer {
        try await send(method, url: litellm + path, body, token: key ?? masterKey)
    }

    private func send(
        _ method: HTTPClientRequest.Method, url: String, _ body: JSONValue?, token: String?,
        headers: [(String, String)] = []
    ) async throws -> Answer {
        var request = HTTPClientRequest(method: method, url: url, headers: headers)
        request.limits.totalTimeout = .seconds(40)
        if let token { request.headers.append(("authorization", "Bearer \(token)")) }
        if let body {
            request.headers.append(("content-type", "application/json"))
            request.body = Array(body.encodedString().utf8)
        }
        let response = try await transport.send(request)
        let content = response.body.isEmpty ? .null : try JSON.decoder.decode(JSONValue.self, from: Data(response.body))
        return Answer(status: response.status, body: content)
    }

    // MARK: Waiting

    /// Asks again until `question` has an answer. Throws when it has none in time.
    func eventually<T>(
        _ what: String, within limit: Duration = .seconds(60), _ question: () async throws -> T?
    ) async throws -> T {
        let deadline = ContinuousClock.now + limit
        while true {
            if let answer = try await question() { return answer }
            guard deadline > .now else { throw Failure(description: "\(what): not within \(limit)") }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func waitUntilReady() async throws {
        for (what, url) in [
            ("LiteLLM answers", "\(litellm)/health/liveliness"), ("the API answers", "\(api)/api/v1/health/ready"),
        ] {
            try await eventually(what) {
                do {
                    return try await send(.get, url: url, nil, token: nil).status == 200 ? () : nil
                } catch is HTTPTransportError {
                    return nil
                }
            }
        }
    }
}
