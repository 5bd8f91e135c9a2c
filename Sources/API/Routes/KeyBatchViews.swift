import Foundation
import Jobs
import Shared

/// A batch of keys as administrators see it.
struct KeyBatchView: ResourceBody, JSONRepresentable {
    let batch: KeyBatch
    let counts: KeyBatchCounts

    /// The batch as it is now.
    static func load(_ batch: KeyBatch, in executor: any PostgresExecutor) async throws -> KeyBatchView {
        let counts = try await PostgresKeyBatchStore().counts(of: [batch.id], in: executor)
        return KeyBatchView(batch: batch, counts: counts[batch.id] ?? KeyBatchCounts())
    }

    func write(to json: inout JSONWriter) {
        json.object { json in writeMembers(to: &json) }
    }

    func writeMembers(to json: inout JSONWriter) {
        json.member("id", batch.id)
        json.member("name", batch.name)
        json.member("state", counts.state(of: batch))
        json.member("total", batch.total)
        json.member("counts") { json in
            for status in KeyBatchItemStatus.allCases { json.member(status.rawValue, counts[status]) }
        }
        json.member("template") { json in writeTemplate(to: &json) }
        json.member("expiresAt", batch.expiresAt)
        json.member("labels", batch.labels)
        json.member("subscribe", batch.subscribes)
        json.member("requestedBy", batch.requesterName)
        json.member("resultsUntil", batch.resultsUntil)
        json.member("jobId", batch.jobId.map { String($0) })
        json.member("cancelledAt", batch.cancelledAt)
        json.member("createdAt", batch.createdAt)
    }

    private func writeTemplate(to json: inout JSONWriter) {
        let template = batch.template
        json.member("keyName", template.keyName)
        json.member("modelIds", template.modelIds)
        json.member("teamId", template.teamId)
        json.member("maxBudget", template.maxBudget)
        json.member("softBudget", template.softBudget)
        json.member("budgetDuration", template.budgetDuration)
        json.member("tpmLimit", template.tpmLimit)
        json.member("rpmLimit", template.rpmLimit)
        json.member("maxParallelRequests", template.maxParallelRequests)
        json.member("expiresAt", template.expiresAt)
        json.member("duration", template.duration)
        json.member("metadata", template.metadata)
    }
}

/// One key of a batch.
struct KeyBatchItemView: JSONRepresentable {
    let item: KeyBatchItem
    /// The key's secret, where it may be shown.
    var secret: Secret?
    /// Adds what hands the key out: alias, prefix, expiry.
    var isResult = false

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("number", item.ordinal)
            json.member("userId", item.userId)
            json.member("username", item.username)
            json.member("email", item.email)
            json.member("fullName", item.fullName)
            json.member("keyName", item.keyName)
            json.member("keyId", item.keyId)
            json.member("status", item.status.rawValue)
            if isResult {
                json.member("keyAlias", item.key?.alias)
                json.member("keyPrefix", item.key?.prefix)
                json.member("expiresAt", item.key?.expiresAt)
                json.member("key", secret?.reveal())
            } else {
                json.member("jobId", (item.jobId ?? item.error?.jobId).map { String($0) })
            }
            if let error = item.error {
                json.member("error") { json in
                    json.member("code", error.code)
                    json.member("message", error.message)
                }
            }
        }
    }

    static let header = line([
        "number", "username", "email", "fullName", "keyName", "keyId", "keyAlias", "key", "status", "expiresAt",
        "error",
    ])

    /// As a line of CSV.
    var csv: String {
        Self.line([
            String(item.ordinal), item.username, item.email, item.fullName, item.keyName, item.keyId?.text,
            item.key?.alias, secret?.reveal(), item.status.rawValue, item.key?.expiresAt.map(ISO8601.string(from:)),
            item.error?.message,
        ])
    }

    private static func line(_ cells: [String?]) -> String {
        cells.map { CSVCell.text($0 ?? "") }.joined(separator: ",") + "\r\n"
    }
}

/// Which keys an action on many of them means.
struct KeySelectionView: ResourceBody {
    let preview: KeyBulkPreview
    let isDryRun: Bool

    func writeMembers(to json: inout JSONWriter) {
        json.member("dryRun", isDryRun)
        json.member("matched", preview.count)
        json.member("waiting", preview.waiting)
        json.name("sample")
        json.array(preview.sample) { json, key in
            json.object { json in
                json.member("id", key.id)
                json.member("name", key.name)
                json.member("userId", key.userId)
                json.member("keyAlias", key.alias)
                json.member("labels", key.labels)
                json.member("expiresAt", key.expiresAt)
            }
        }
    }
}
