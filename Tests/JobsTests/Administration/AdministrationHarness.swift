import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

extension EngineHarness {
    static let actor = AuditActor(
        userId: nil, name: "ann", ipAddress: "127.0.0.1", userAgent: "test", requestId: "request-1")

    var administration: JobAdministration { JobAdministration(queue: queue) }

    /// A job that has failed with this code and waits for a person.
    func deadLetter(
        _ job: some JobKind, code: String = "broken", message: String = "It broke.",
        _ options: JobOptions = JobOptions()
    ) async throws -> Int64 {
        let id = try await enqueue(job, options)
        let claimed = try #require(try await claimAll().first { $0.id == id })
        let error = JobErrorInfo(errorClass: .permanent, code: code, message: message)
        let ended = try await queue.end(
            jobId: id, token: claimed.token, as: .failed, error: error, by: nil, attempted: true)
        try #require(ended.ended == [id])
        return id
    }

    func ids(_ query: JobQuery) async throws -> [Int64] {
        try await administration.jobs(query, limit: 100).data.map(\.id.value)
    }

    /// The audit rows of one action, oldest first.
    func audits(_ action: String) async throws -> [(actor: String, resource: String?, metadata: JSONValue)] {
        try await client.query(
            "select actor, resource_id, metadata from audit_logs where action = \(action) order by id"
        ).map { row in
            let (actor, resource, metadata) = try row.decode(String.self, String?.self, JSONValue.self)
            return (actor, resource, metadata)
        }
    }

    func query(_ change: (inout JobQuery) -> Void) -> JobQuery {
        var query = JobQuery()
        change(&query)
        return query
    }
}
