import Foundation
import Jobs
import Shared

/// A job as clients see it.
struct JobView: JSONRepresentable {
    private enum Content {
        case snapshot(JobSnapshot)
        case accepted(Accepted)
        case stored(JSONValue)
    }

    private struct Accepted {
        let kind: String
        let queue: String
        let state: JobState
        let maxAttempts: Int
        let createdAt: Date
        let resource: JobResource?
    }

    let id: Int64
    private let content: Content

    init(_ job: JobSnapshot) {
        id = job.id
        content = .snapshot(job)
    }

    /// A job that this request has just put in: what is known of it without asking the database again.
    init<Kind: JobKind>(_ job: EnqueuedJob, _ kind: Kind.Type, resource: JobResource?, at time: Date) {
        id = job.id
        content = .accepted(
            Accepted(
                kind: Kind.name, queue: Kind.queue, state: job.state, maxAttempts: Kind.retry.maxAttempts,
                createdAt: time, resource: resource))
    }

    /// A job as it was answered the first time, for when the job itself has aged out. Nil when `stored` is no job.
    init?(stored: JSONValue) {
        guard let id = stored["id"]?.stringValue.flatMap({ Int64($0) }) else { return nil }
        self.id = id
        content = .stored(stored)
    }

    /// The path under which a job can be followed.
    static func location(of id: Int64) -> String { "/api/v1/jobs/\(id)" }

    func write(to json: inout JSONWriter) {
        switch content {
        case .snapshot(let job): json.object { json in Self.write(job, to: &json) }
        case .accepted(let job): json.object { json in Self.write(job, id: id, to: &json) }
        case .stored(let value): json.value(value)
        }
    }

    private static func write(_ job: Accepted, id: Int64, to json: inout JSONWriter) {
        json.member("id", String(id))
        json.member("kind", job.kind)
        json.member("queue", job.queue)
        json.member("state", job.state.rawValue)
        json.member("attempt", 0)
        json.member("maxAttempts", limit(job.maxAttempts))
        json.member("createdAt", job.createdAt)
        write(job.resource, to: &json)
        json.member("errors", [String]())
    }

    private static func write(_ job: JobSnapshot, to json: inout JSONWriter) {
        json.member("id", String(job.id))
        json.member("kind", job.kind)
        json.member("queue", job.queue)
        json.member("state", job.state.rawValue)
        json.member("attempt", job.attempt)
        json.member("maxAttempts", limit(job.maxAttempts))
        json.member("createdAt", job.createdAt)
        json.member("runAt", job.runAt)
        json.member("startedAt", job.startedAt)
        json.member("finishedAt", job.finishedAt)
        json.member("deadlineAt", job.deadlineAt)
        json.member("discardedAt", job.discardedAt)
        json.member("discardedBy", job.discardedBy)
        json.member("endedBy", job.endedBy)
        if job.cancelRequested { json.member("cancelRequested", true) }
        json.member("requestedBy", job.requester.id)
        json.member("requestId", job.requester.requestId)
        json.member("parentId", job.parentId.map { String($0) })
        write(job.resource, to: &json)
        if let progress = job.progress {
            json.member("progress") { json in
                json.member("fraction", progress.fraction)
                json.member("message", progress.message)
                if let children = progress.children {
                    json.member("children") { json in
                        json.member("total", children.total)
                        json.member("succeeded", children.succeeded)
                        json.member("failed", children.failed)
                        json.member("cancelled", children.cancelled)
                    }
                }
            }
        }
        json.member("result", job.result)
        writeErrors(of: job, to: &json)
        writeWaiting(of: job, to: &json)
    }

    /// Nil for jobs that are tried until they succeed.
    private static func limit(_ attempts: Int) -> Int? {
        attempts >= RetryPolicy.unlimitedAttempts ? nil : attempts
    }

    private static func write(_ resource: JobResource?, to json: inout JSONWriter) {
        guard let resource else { return }
        json.member("resource") { json in
            json.member("type", resource.type)
            json.member("id", resource.id)
        }
    }

    private static func writeErrors(of job: JobSnapshot, to json: inout JSONWriter) {
        if let error = job.error {
            json.member("error") { json in
                json.member("class", error.errorClass.rawValue)
                json.member("code", error.code)
                json.member("message", error.message)
            }
        }
        json.name("errors")
        json.array(job.attempts) { json, attempt in
            json.object { json in
                json.member("attempt", attempt.attempt)
                json.member("class", attempt.error.errorClass.rawValue)
                json.member("code", attempt.error.code)
                json.member("message", attempt.error.message)
                json.member("charged", attempt.charged)
                json.member("startedAt", attempt.startedAt)
                json.member("endedAt", attempt.endedAt)
            }
        }
    }

    private static func writeWaiting(of job: JobSnapshot, to json: inout JSONWriter) {
        guard let waiting = job.waiting else { return }
        json.member("waiting") { json in
            json.member("reason", waiting.code.rawValue)
            json.member("message", waiting.message)
            json.member("until", waiting.until)
            if !waiting.jobIds.isEmpty { json.member("jobIds", waiting.jobIds.map { String($0) }) }
        }
    }
}
