package import Foundation
package import Shared

/// A finding as operators see it.
package struct DriftReport: Codable, Sendable {
    package var id: String
    package var reconciliationId: String
    package var type: DriftObject
    /// Our id where there is a row here, otherwise LiteLLM's.
    package var objectId: String
    package var litellmId: String?
    package var name: String?
    package var kind: DriftKind
    package var field: String?
    package var wanted: String?
    package var found: String?
    package var state: DriftState
    package var firstSeenAt: Date
    package var lastSeenAt: Date
    package var decidedAt: Date?
    package var decidedBy: String?
    package var jobId: String?

    package init(_ finding: DriftFinding) {
        id = String(finding.id)
        reconciliationId = String(finding.reconciliationId)
        type = finding.object
        objectId = finding.objectId
        litellmId = finding.litellmId
        name = finding.name
        kind = finding.kind
        field = finding.field.isEmpty ? nil : finding.field
        wanted = finding.wanted
        found = finding.found
        state = finding.state
        firstSeenAt = finding.firstSeenAt
        lastSeenAt = finding.lastSeenAt
        decidedAt = finding.decidedAt
        decidedBy = finding.decidedBy
        jobId = finding.jobId.map { String($0) }
    }
}

/// A walk as operators see it.
package struct ReconciliationReport: Codable, Sendable {
    package var id: String
    package var jobId: String
    package var dryRun: Bool
    package var scope: [String]
    package var policy: JSONValue
    package var startedAt: Date
    package var finishedAt: Date?
    /// Whether everything was read and believed; otherwise nothing was done.
    package var isComplete: Bool
    package var doubts: [String]
    /// Objects read and findings, by type and kind.
    package var counts: JSONValue

    package init(_ walk: Reconciliation) {
        id = String(walk.id)
        jobId = String(walk.jobId)
        dryRun = walk.isDryRun
        scope = walk.scope
        policy = walk.policy
        startedAt = walk.startedAt
        finishedAt = walk.finishedAt
        isComplete = walk.isComplete
        doubts = walk.doubts
        counts = walk.counts
    }
}
