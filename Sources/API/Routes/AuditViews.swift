import Foundation
import Shared

/// What of an entry's free parts is shown. The log holds no secrets; this is the second net.
enum AuditText {
    /// Shorter texts, such as a key's prefix, tell nothing.
    private static let shortest = 12

    static func safe(_ value: JSONValue) -> JSONValue {
        switch value {
        case .string(let text): .string(safe(text))
        case .array(let elements): .array(elements.map(safe))
        case .object(let members):
            .object(
                Dictionary(
                    members.map { name, value in
                        (
                            name,
                            Redaction.isSecretName(name) && !value.isNull ? .string(Redaction.placeholder) : safe(value)
                        )
                    }, uniquingKeysWith: { first, _ in first }))
        default: value
        }
    }

    static func safe(_ text: String) -> String {
        text.utf8.count < shortest ? text : Redaction.text(text)
    }
}

/// An entry of the audit log.
struct AuditRecordView: JSONRepresentable {
    let record: AuditRecord

    func write(to json: inout JSONWriter) {
        let entry = record.entry
        json.object { json in
            json.member("id", String(record.id))
            json.member("createdAt", record.createdAt)
            json.member("userId", entry.actor.userId)
            json.member("username", record.username)
            json.member("email", record.email)
            json.member("actor", entry.actor.name)
            json.member("action", entry.action)
            json.member("resourceType", entry.resourceType)
            json.member("resourceId", entry.resourceId)
            json.member("success", entry.success)
            json.member("errorMessage", entry.errorMessage.map(AuditText.safe))
            json.member("oldValues", entry.oldValues.map(AuditText.safe))
            json.member("newValues", entry.newValues.map(AuditText.safe))
            json.member("metadata", AuditText.safe(entry.metadata))
            json.member("ipAddress", entry.actor.ipAddress)
            json.member("userAgent", entry.actor.userAgent)
            json.member("requestId", entry.actor.requestId)
            json.member("jobId", entry.jobId.map { String($0) })
        }
    }
}

/// An entry as a line of CSV.
enum AuditCSV {
    static let header = line([
        "id", "createdAt", "userId", "username", "email", "actor", "action", "resourceType", "resourceId", "success",
        "errorMessage", "ipAddress", "userAgent", "requestId", "jobId", "oldValues", "newValues", "metadata",
    ])

    static func line(_ record: AuditRecord) -> String {
        let entry = record.entry
        return line([
            String(record.id), ISO8601.string(from: record.createdAt), entry.actor.userId?.text, record.username,
            record.email, entry.actor.name, entry.action, entry.resourceType, entry.resourceId,
            entry.success ? "true" : "false", entry.errorMessage.map(AuditText.safe), entry.actor.ipAddress,
            entry.actor.userAgent, entry.actor.requestId, entry.jobId.map { String($0) }, json(entry.oldValues),
            json(entry.newValues), json(entry.metadata),
        ])
    }

    private static func json(_ value: JSONValue?) -> String? {
        value.map { AuditText.safe($0).encodedString() }
    }

    private static func line(_ cells: [String?]) -> String {
        cells.map { CSVCell.text($0 ?? "") }.joined(separator: ",") + "\r\n"
    }
}
