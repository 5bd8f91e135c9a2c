import Foundation
import Shared

/// Many requests for keys, then the jobs that they led to.
struct KeyLoad: Sendable {
    struct Plan: Sendable {
        var count: Int
        var users: Int
        var concurrency: Int
        var perSecond: Double?
        var name: String
        var userName: String
        var model: String?
        var session: Secret?
        /// How long jobs are followed; nil for not at all.
        var following: Duration?
    }

    /// A request for a key and what became of it.
    struct Intent: Sendable {
        var user: Int
        /// Of the request that was accepted.
        var took: Duration = .zero
        var tries = 0
        /// Nil unless accepted.
        var jobId: String?
        /// The status that refused it, or the transport's error.
        var refusal: String?
        var job: Job?
    }

    /// A job as last seen.
    struct Job: Sendable {
        var state: String
        var attempt: Int
        var errors: [String]

        var isFinal: Bool { ["succeeded", "failed", "cancelled"].contains(state) }

        init(_ body: JSONValue) {
            state = body["state"]?.stringValue ?? "unknown"
            attempt = body["attempt"]?.intValue ?? 0
            errors = (body["errors"]?.arrayValue ?? []).compactMap { $0["code"]?.stringValue }
        }
    }

    /// How often one request is made when it is answered with a wait or not at all.
    private static let mostTries = 8
    /// How long one question after a job may hold.
    private static let longPoll = 10
    private static let pause = Duration.milliseconds(500)

    let plan: Plan
    let client: LoadClient

    /// Asks for the keys and follows their jobs. Throws when there is no session or model to begin with.
    func run() async throws -> LoadReport {
        let sessions = try await sessions()
        let model = if let model = plan.model { model } else { try await client.firstModel(session: sessions[0]) }
        for session in sessions { try await client.subscribe(session: session, to: model) }

        let submitting = ContinuousClock.now
        var intents = await inParallel((0..<plan.count).map { Intent(user: $0 % sessions.count) }) { number, intent in
            if let perSecond = plan.perSecond {
                try await Task.sleep(until: submitting + .seconds(Double(number) / perSecond))
            }
            return try await submit(intent, number: number, model: model, session: sessions[intent.user])
        }
        let submitted = ContinuousClock.now
        if let limit = plan.following {
            intents = await inParallel(intents) { _, intent in
                try await follow(intent, session: sessions[intent.user], until: submitted + limit)
            }
        }
        return LoadReport(
            intents, isFollowed: plan.following != nil, submitting: submitted - submitting, following: .now - submitted)
    }

    private func sessions() async throws -> [Secret] {
        if let session = plan.session { return [session] }
        var sessions: [Secret] = []
        for user in 1...plan.users { sessions.append(try await client.session(of: "\(plan.userName)-\(user)")) }
        return sessions
    }

    // MARK: One key

    /// Asks for a key; again under the same `Idempotency-Key` when the answer is lost or says to wait.
    private func submit(_ intent: Intent, number: Int, model: String, session: Secret) async throws -> Intent {
        var intent = intent
        let idempotencyKey = UUID().uuidString
        let body: JSONValue = ["name": .string("\(plan.name)-\(number + 1)"), "modelIds": [.string(model)]]
        while intent.tries < Self.mostTries {
            intent.tries += 1
            var wait = Self.pause
            do {
                let answer = try await client.send(
                    .post, "/api/v1/api-keys", body, session: session, headers: [("idempotency-key", idempotencyKey)])
                if answer.status == 202, let id = answer.body["job"]?["id"]?.stringValue {
                    intent.took = answer.took
                    intent.jobId = id
                    intent.refusal = nil
                    return intent
                }
                intent.refusal = "\(answer.status) \(answer.message)"
                guard let retryAfter = answer.retryAfter else { return intent }
                wait = min(retryAfter, .seconds(10))
            } catch let error as HTTPTransportError {
                intent.refusal = "\(error.code)"
            }
            try await Task.sleep(for: wait)
        }
        return intent
    }

    /// Asks after a job until it has ended or the time is over.
    private func follow(
        _ intent: Intent, session: Secret, until deadline: ContinuousClock.Instant
    ) async throws -> Intent {
        guard let id = intent.jobId else { return intent }
        var intent = intent
        repeat {
            do {
                let left = Int(max(.zero, deadline - .now).components.seconds)
                let answer = try await client.send(
                    .get, "/api/v1/jobs/\(id)?wait=\(min(Self.longPoll, left))", session: session)
                if answer.status == 200 { intent.job = Job(answer.body) }
                if intent.job?.isFinal == true { return intent }
                // With too many waiting already the answer comes at once.
                if answer.took < Self.pause { try await Task.sleep(for: Self.pause) }
            } catch is HTTPTransportError {
                // It is asked again while there is time.
                try await Task.sleep(for: Self.pause)
            }
        } while deadline > .now
        return intent
    }

    // MARK: Many

    /// Replaces each intent by what `body` makes of it, `concurrency` at a time, in order of their numbers. One whose
    /// `body` throws stays as it was, with the error as its refusal.
    private func inParallel(
        _ intents: [Intent], _ body: @escaping @Sendable (Int, Intent) async throws -> Intent
    ) async -> [Intent] {
        await withTaskGroup(of: (Int, Intent).self) { group in
            var result = intents
            for (number, intent) in intents.enumerated() {
                if number >= plan.concurrency, let (done, became) = await group.next() { result[done] = became }
                group.addTask {
                    do {
                        return (number, try await body(number, intent))
                    } catch {
                        var refused = intent
                        refused.refusal = "\(error)"
                        return (number, refused)
                    }
                }
            }
            for await (done, became) in group { result[done] = became }
            return result
        }
    }
}
