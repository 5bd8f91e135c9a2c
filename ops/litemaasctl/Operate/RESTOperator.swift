import Foundation
import Jobs
import Shared

/// Acts through the REST API, as the user of the token.
struct RESTOperator: Operator {
    private let transport: any HTTPTransport
    private let root: String
    private let token: Secret

    init(transport: any HTTPTransport, url: String, token: Secret) {
        self.transport = transport
        root = (url.hasSuffix("/") ? String(url.dropLast()) : url) + "/api/v1"
        self.token = token
    }

    private var base: String { root + "/admin" }

    // MARK: Jobs

    func jobs(_ query: JobQuery, cursor: String?, limit: Int) async throws -> JobPage {
        var items = try Self.items(query)
        items.append(("limit", "\(limit)"))
        if let cursor { items.append(("cursor", cursor)) }
        return try await send(.get, "/jobs", query: items)
    }

    func job(_ id: Int64) async throws -> JobReport { try await send(.get, "/jobs/\(id)") }

    func explain(_ id: Int64) async throws -> JobExplanation { try await send(.get, "/jobs/\(id)/explain") }

    func statistics() async throws -> JobStatistics { try await send(.get, "/jobs/stats") }

    func retry(_ id: Int64) async throws { try await change(id, "retry", [:]) }

    func cancel(_ id: Int64, force: Bool, reason: String?) async throws {
        try await change(id, "cancel", Self.body(force: force, reason: reason))
    }

    func discard(_ id: Int64, force: Bool, reason: String?) async throws {
        try await change(id, "discard", Self.body(force: force, reason: reason))
    }

    func reschedule(_ id: Int64, at time: Date, force: Bool, reason: String?) async throws {
        var body = Self.body(force: force, reason: reason)
        body["runAt"] = .string(ISO8601.string(from: time))
        try await change(id, "reschedule", body)
    }

    private func change(_ id: Int64, _ verb: String, _ body: [String: JSONValue]) async throws {
        let _: JSONValue = try await send(.post, "/jobs/\(id)/\(verb)", body: .object(body))
    }

    func preview(_ request: BulkRequest) async throws -> BulkPreview {
        try await send(.post, "/jobs/bulk", body: try Self.body(request, dryRun: true))
    }

    func bulk(_ request: BulkRequest) async throws -> JobNumber {
        let answer: Started = try await send(.post, "/jobs/bulk", body: try Self.body(request, dryRun: false))
        return answer.job.id
    }

    private static func body(_ request: BulkRequest, dryRun: Bool) throws -> JSONValue {
        var body = try JSON.decoder.decode(JSONValue.self, from: JSON.encoder.encode(request)).objectValue ?? [:]
        body["dryRun"] = .bool(dryRun)
        return .object(body)
    }

    /// A change that is carried out as a job.
    struct Started: Decodable {
        struct Job: Decodable { let id: JobNumber }
        let job: Job
    }

    // MARK: Schedules and limits

    func schedules() async throws -> [JobSchedule] { try await list("/schedules") }

    func schedule(_ name: String, runs: Int) async throws -> ScheduleDetails {
        try await send(.get, "/schedules/\(Self.path(name))", query: [("runs", "\(runs)")])
    }

    func update(schedule: String, _ change: ScheduleChange) async throws -> JobSchedule {
        let body = try JSON.decoder.decode(JSONValue.self, from: JSON.encoder.encode(change))
        return try await send(.patch, "/schedules/\(Self.path(schedule))", body: body)
    }

    func setEnabled(_ isEnabled: Bool, schedule: String, reason: String?) async throws -> JobSchedule {
        try await send(
            .post, "/schedules/\(Self.path(schedule))/\(isEnabled ? "enable" : "disable")",
            body: .object(Self.body(force: false, reason: reason)))
    }

    func trigger(schedule: String) async throws -> JobNumber {
        let answer: Started = try await send(.post, "/schedules/\(Self.path(schedule))/trigger", body: [:])
        return answer.job.id
    }

    func limits() async throws -> [JobLimit] { try await list("/limits") }

    func limit(
        _ scope: JobLimitScope, _ name: String, maxRunning: Int?, rate: JobRate?, force: Bool
    ) async throws {
        var body = Self.body(force: force, reason: nil)
        if let maxRunning { body["maxRunning"] = .int(maxRunning) }
        if let rate { body["rate"] = ["count": .int(rate.count), "seconds": .int(rate.seconds)] }
        let _: JSONValue = try await send(
            .put, "/\(scope == .queue ? "queues" : "kinds")/\(Self.path(name))/limits", body: .object(body))
    }

    // MARK: Queues, breakers, workers

    func queues() async throws -> [QueueReport] { try await list("/queues") }

    func pause(_ queue: String, reason: String?, force: Bool) async throws -> QueueReport {
        try await send(
            .post, "/queues/\(Self.path(queue))/pause", body: .object(Self.body(force: force, reason: reason)))
    }

    func resume(_ queue: String) async throws -> QueueReport {
        try await send(.post, "/queues/\(Self.path(queue))/resume", body: [:])
    }

    func breakers() async throws -> [BreakerReport] { try await list("/breakers") }

    func force(
        _ breaker: String, _ state: BreakerAdministration.Force, reason: String
    ) async throws -> BreakerReport {
        try await send(
            .post, "/breakers/\(Self.path(breaker))/force",
            body: ["state": .string(state.rawValue), "reason": .string(reason)])
    }

    func reset(_ breaker: String) async throws -> BreakerReport {
        try await send(.post, "/breakers/\(Self.path(breaker))/reset", body: [:])
    }

    func workers(ended: Bool) async throws -> [WorkerReport] {
        try await list("/workers", query: ended ? [("ended", "true")] : [])
    }

    func drain(_ worker: Int32, reason: String?) async throws -> WorkerReport {
        try await send(.post, "/workers/\(worker)/drain", body: .object(Self.body(force: false, reason: reason)))
    }

    func resume(worker: Int32) async throws -> WorkerReport {
        try await send(.post, "/workers/\(worker)/resume", body: [:])
    }

    // MARK: Alerts and users

    func alerts() async throws -> AlertList { try await send(.get, "/integration/alerts", of: root) }

    private struct Limited: Decodable {
        struct Job: Decodable { let id: JobNumber }
        let totalUsers: Int
        let job: Job?
    }

    func countUsers(for change: UserLimitsOrder) async throws -> Int {
        var body = change.body
        body["dryRun"] = true
        let answer: Limited = try await send(.post, "/users/bulk-update-limits", body: .object(body))
        return answer.totalUsers
    }

    func setLimits(_ change: UserLimitsOrder) async throws -> JobNumber? {
        let answer: Limited = try await send(.post, "/users/bulk-update-limits", body: .object(change.body))
        return answer.job?.id
    }

    // MARK: Usage

    func rebuildUsage(from: UTCDay, to: UTCDay, force: Bool) async throws -> JobNumber {
        let answer: Started = try await send(
            .post, "/usage/rebuild-cache",
            body: [
                "startDate": .string(from.description), "endDate": .string(to.description), "force": .bool(force),
            ])
        return answer.job.id
    }

    // MARK: HTTP

    private struct Page<Item: Decodable>: Decodable { let data: [Item] }

    private func list<Item: Decodable>(_ path: String, query: [(String, String)] = []) async throws -> [Item] {
        let page: Page<Item> = try await send(.get, path, query: query)
        return page.data
    }

    /// - Throws: `CommandRefusal` with the API's own words; `CommandFailure` when it cannot be reached.
    func send<Answer: Decodable>(
        _ method: HTTPClientRequest.Method, _ path: String, of parent: String? = nil, query: [(String, String)] = [],
        body: JSONValue? = nil
    ) async throws -> Answer {
        let bytes = try await fetch(method, path, of: parent, query: query, body: body)
        do {
            return try JSON.decoder.decode(Answer.self, from: bytes.isEmpty ? Data("null".utf8) : Data(bytes))
        } catch {
            throw CommandFailure(
                description:
                    "The answer of \((parent ?? base) + path) is not understood: is it a LiteMaaS Backend of this version?"
            )
        }
    }

    /// The body of the answer as it came; throws as ``send(_:_:of:query:body:)`` does.
    func fetch(
        _ method: HTTPClientRequest.Method, _ path: String, of parent: String? = nil, query: [(String, String)] = [],
        body: JSONValue? = nil
    ) async throws -> [UInt8] {
        let base = parent ?? self.base
        let text = query.map { "\($0.0)=\(Self.path($0.1))" }.joined(separator: "&")
        var request = HTTPClientRequest(
            method: method, url: base + path + (text.isEmpty ? "" : "?\(text)"),
            headers: [("authorization", "Bearer \(token.reveal())")])
        if let body {
            request.headers.append(("content-type", "application/json"))
            request.body = Array(body.encodedString().utf8)
        }
        let response: HTTPClientResponse
        do {
            response = try await transport.send(request)
        } catch let error as HTTPTransportError {
            throw CommandFailure(description: "The API at \(base) cannot be reached: \(error.code.label).")
        }
        guard (200..<300).contains(response.status) else { throw refusal(response) }
        return response.body
    }

    private func refusal(_ response: HTTPClientResponse) -> any Error {
        let message = Self.message(response) ?? "The API answered \(response.status)."
        return switch response.status {
        case 400, 422: CommandRefusal(status: .usage, message)
        case 401: CommandFailure(description: "The API refuses the token of LITEMAAS_TOKEN: \(message)")
        case 403, 409: CommandRefusal(status: .refused, message)
        case 404: CommandRefusal(status: .notFound, message)
        default: CommandFailure(description: message)
        }
    }

    private static func message(_ response: HTTPClientResponse) -> String? {
        do {
            let body = try JSON.decoder.decode(JSONValue.self, from: Data(response.body))
            let message = body["error"]?["message"]?.stringValue ?? body["message"]?.stringValue
            let faults = body["error"]?["details"]?["validation"]?.arrayValue ?? []
            // One fault is the message already.
            guard let message, faults.count > 1 else { return message }
            return message
                + faults.map { "\n  \($0["field"]?.stringValue ?? ""): \($0["message"]?.stringValue ?? "")" }.joined()
        } catch {
            // Not JSON: a proxy's page, of which the status says enough.
            return nil
        }
    }

    private static func body(force: Bool, reason: String?) -> [String: JSONValue] {
        var body: [String: JSONValue] = [:]
        if force { body["force"] = true }
        if let reason { body["reason"] = .string(reason) }
        return body
    }

    /// The query's members as they are named in JSON, lists repeated.
    private static func items(_ query: JobQuery) throws -> [(String, String)] {
        let members = try JSON.decoder.decode(JSONValue.self, from: JSON.encoder.encode(query)).objectValue ?? [:]
        return members.sorted { $0.key < $1.key }.flatMap { name, value -> [(String, String)] in
            (value.arrayValue ?? [value]).compactMap { item in
                item == .null ? nil : (name, item.stringValue ?? item.encodedString())
            }
        }
    }

    static func path(_ text: String) -> String {
        var allowed = CharacterSet.alphanumerics
        allowed.insert(charactersIn: "-._~")
        return text.addingPercentEncoding(withAllowedCharacters: allowed) ?? text
    }
}
