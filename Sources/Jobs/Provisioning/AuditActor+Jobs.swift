import Foundation
package import Shared

extension AuditActor {
    /// The same person as a job's requester.
    package var requester: JobRequester {
        JobRequester(id: userId?.text ?? serviceId ?? name, requestId: requestId)
    }
}

extension JobRequester {
    /// The same person, for the audit log.
    var auditActor: AuditActor {
        guard let id else { return AuditActor(userId: nil, name: AuditActor.system.name, requestId: requestId) }
        return AuditActor(userId: UUID(uuidString: id), name: id, requestId: requestId)
    }
}

extension JobContext {
    /// Who asked for this job, for what its handler writes into the audit log.
    var auditActor: AuditActor { requester.auditActor }
}

extension JobEnd {
    /// Writes into the audit log that the job ended without success. For ``JobKind/ended(_:in:)`` only, which comes
    /// once for each end, while the job is still known by its id.
    func audit(
        _ action: String, about resourceType: String, _ id: UUID, in transaction: PostgresTransaction
    ) async throws {
        try await audit(action, about: resourceType, id.text, in: transaction)
    }

    /// The same for what is not named by a UUID.
    func audit(
        _ action: String, about resourceType: String, _ id: String, in transaction: PostgresTransaction
    ) async throws {
        let requester = try await PostgresJobStore().requester(ofLive: jobId, in: transaction)
        var metadata: [String: JSONValue] = ["state": .string(state.rawValue), "code": .string(error.code)]
        if let by { metadata["endedBy"] = .string(by) }
        try await PostgresAuditStore().appendOutcome(
            AuditEntry(
                actor: requester.auditActor, action: action, resourceType: resourceType, resourceId: id,
                jobId: jobId, success: false, errorMessage: error.message, metadata: .object(metadata)),
            in: transaction)
    }
}

extension SyncError {
    /// What a row shows after its job ended without success.
    init(_ end: JobEnd) {
        self.init(errorClass: end.error.errorClass.rawValue, code: end.error.code, message: end.error.message)
    }
}

extension JobFailure {
    /// The row that a job acts on is not there.
    static func rowMissing(_ what: String) -> JobFailure {
        .permanent(code: "row_not_found", message: "There is no such \(what) any more.")
    }

    /// LiteLLM was told, and told again, and still stores something else.
    static func notTaken(_ what: String, fields: [String]) -> JobFailure {
        .permanent(
            code: "verification_failed",
            message: "LiteLLM stores other values than were sent for this \(what): \(fields.joined(separator: ", ")).")
    }

    /// LiteLLM said yes, but the object cannot be read back.
    static func notReadable(_ what: String) -> JobFailure {
        .retryable(code: "not_read_back", message: "LiteLLM took the \(what), but does not show it yet.")
    }
}
