import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Shared

/// Carries out requests that change something, by the one contract they all have: one transaction for the change and
/// its `Idempotency-Key`; then 202 with the job, or, with `Prefer: wait`, what became of it.
struct Changes: Sendable {
    let database: PostgresClient
    let queue: JobQueue
    let waiters: JobWaiters
    private let answers = PostgresIdempotencyStore()

    /// What differs between changes.
    struct Outcome: Sendable {
        /// The status once the job has succeeded.
        var status: HTTPResponse.Status = .ok
        /// Whether the job ended as the client wants it.
        var isSuccess: @Sendable (_ job: JobSnapshot) -> Bool = { $0.state == .succeeded }
        /// The resource as it is after the job has succeeded; nil when it is gone.
        var reload: @Sendable (_ job: JobSnapshot) async throws -> (any ResourceBody)? = { _ in nil }
        /// The member in which the answer shows a new secret.
        var secretMember = "key"
        /// The secret that the first answer showed, while it is still there. Given the stored answer.
        var secret: (@Sendable (_ stored: StoredResource) async throws -> Secret?)?
    }

    private enum Result: Sendable {
        case first(Change)
        case repeated(StoredAnswer)
    }

    init(database: PostgresClient, queue: JobQueue, waiters: JobWaiters) {
        self.database = database
        self.queue = queue
        self.waiters = waiters
    }

    /// Runs `change` in a transaction and answers. Throws what `change` throws; then nothing is stored.
    ///
    /// - Parameters:
    ///   - body: as sent; a repetition must send the same.
    ///   - outcome: how the finished job is answered.
    ///   - change: the change itself; runs at most once for an `Idempotency-Key`.
    func perform(
        _ call: AuthenticatedCall, body: [UInt8] = [], outcome: Outcome,
        _ change: @escaping @Sendable (PostgresTransaction) async throws -> Change
    ) async throws -> Response {
        let prefer = Prefer(call.request.headers)
        guard let key = try IdempotencyKey(call, body: body) else {
            // Two changes of the same things may each hold what the other wants: the server lets one of them try again.
            let change = try await database.withTransaction(retries: 2) { try await change($0) }
            return try await answer(change, prefer: prefer, outcome: outcome)
        }
        switch try await once(key, change) {
        case .first(let change): return try await answer(change, prefer: prefer, outcome: outcome)
        case .repeated(let stored):
            var response = try await answer(stored, prefer: prefer, outcome: outcome)
            response.headers[.idempotencyReplayed] = "true"
            return response
        }
    }

    private func once(
        _ key: IdempotencyKey, _ change: @escaping @Sendable (PostgresTransaction) async throws -> Change
    ) async throws -> Result {
        do {
            return try await database.withTransaction(retries: 2) { transaction in
                switch try await answers.claim(
                    key.scope, bodyHash: key.bodyHash, wait: IdempotencyKey.wait, in: transaction)
                {
                case .answered(let stored): return .repeated(stored)
                case .otherBody:
                    throw APIError.idempotencyKeyReused
                case .first:
                    let change = try await change(transaction)
                    try await answers.store(try storable(change), for: key.scope, in: transaction)
                    return .first(change)
                }
            }
        } catch is IdempotencyInProgress {
            throw APIError.idempotencyKeyInProgress
        }
    }

    private func storable(_ change: Change) throws -> StoredAnswer {
        let bytes = JSONWriter.bytes(of: ChangeBody(resource: change.resource, job: change.job))
        let status: HTTPResponse.Status = change.job == nil ? .ok : .accepted
        let headers = change.job.map { ["Location": JobView.location(of: $0.id)] } ?? [:]
        return StoredAnswer(status: status.code, body: try JSONParser.parse(bytes), headers: headers)
    }

    /// The answer to a change that was made.
    func answer(_ change: Change, prefer: Prefer, outcome: Outcome) async throws -> Response {
        guard let job = change.job else {
            return .json(
                ChangeBody(
                    resource: change.resource, job: nil, secret: change.secret, secretMember: outcome.secretMember),
                status: outcome.status)
        }
        let seen = try await waited(for: job.id, prefer)
        if let seen, seen.state.isFinal {
            return try await finished(
                seen, prefer: prefer, outcome: outcome, first: change.resource, secret: change.secret, notice: nil)
        }
        let view = seen.map { JobView($0) } ?? job
        return accepted(ChangeBody(resource: change.resource, job: view, secret: change.secret), jobId: job.id)
    }

    private func answer(_ stored: StoredAnswer, prefer: Prefer, outcome: Outcome) async throws -> Response {
        let resource = StoredResource(members: stored.body?.objectValue ?? [:])
        var secret: Secret?
        var notice: String?
        if let find = outcome.secret {
            secret = try await find(resource)
            notice = secret == nil ? "The key can no longer be shown. Rotate it to get a new one." : nil
        }
        guard let storedJob = resource.members["job"].flatMap(JobView.init(stored:)) else {
            return .json(
                ChangeBody(
                    resource: resource, job: nil, secret: secret, secretMember: outcome.secretMember, notice: notice),
                status: outcome.status)
        }
        var seen = try await waited(for: storedJob.id, prefer)
        if let seen, seen.state.isFinal {
            return try await finished(
                seen, prefer: prefer, outcome: outcome, first: resource, secret: secret, notice: notice)
        }
        if seen == nil { seen = try await queue.job(id: storedJob.id) }
        let view = seen.map { JobView($0) } ?? storedJob
        return accepted(ChangeBody(resource: resource, job: view, secret: secret, notice: notice), jobId: storedJob.id)
    }

    /// The job as it is after the wait that the client wanted; nil when it wanted none.
    private func waited(for jobId: Int64, _ prefer: Prefer) async throws -> JobSnapshot? {
        guard let seconds = prefer.wait, seconds > 0 else { return nil }
        return try await waiters.wait(for: jobId, atMost: .seconds(seconds))
    }

    private func finished(
        _ job: JobSnapshot, prefer: Prefer, outcome: Outcome, first: any ResourceBody, secret: Secret?, notice: String?
    ) async throws -> Response {
        guard outcome.isSuccess(job) else {
            var error = APIError.jobEnded(job)
            error.headers[.preferenceApplied] = prefer.applied
            throw error
        }
        let resource = try await outcome.reload(job) ?? first
        var response = Response.json(
            ChangeBody(resource: resource, job: JobView(job), secret: secret, notice: notice), status: outcome.status)
        response.headers[.preferenceApplied] = prefer.applied
        response.headers[.location] = JobView.location(of: job.id)
        return response
    }

    private func accepted(_ body: ChangeBody, jobId: Int64) -> Response {
        .json(body, status: .accepted, headers: [.location: JobView.location(of: jobId)])
    }
}
