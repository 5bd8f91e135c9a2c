package import Foundation

/// The kinds of objects that LiteLLM is compared by.
package enum DriftObject: String, Codable, Sendable, CaseIterable, PostgresDecodable {
    case user, team, key, model
}

/// How LiteLLM is not as it should be.
package enum DriftKind: String, Codable, Sendable, CaseIterable, PostgresDecodable {
    /// Was there, and is not any more.
    case missing
    /// Bears our mark, and there is no row of it here.
    case unknown
    /// Does not bear our mark.
    case foreign
    /// A field is not as wanted.
    case differs
    /// Is to be refused, and works.
    case alive
}

/// What became of a finding.
package enum DriftState: String, Codable, Sendable, CaseIterable, PostgresDecodable {
    /// Nobody has decided.
    case open
    /// A job sets it right.
    case repairing
    /// LiteLLM was read back and is as wanted.
    case repaired
    /// It has a row here by now.
    case adopted
    /// LiteLLM was read back and refuses it.
    case revoked
    /// A person has looked at it; it stays as it is.
    case ignored
    /// A later look did not find it any more.
    case gone

    /// Whether it may still be so in LiteLLM.
    package var isLasting: Bool { self == .open || self == .repairing || self == .ignored }
}

/// One thing of which LiteLLM differs.
package struct DriftFinding: Sendable, Equatable {
    /// The row.
    package var id: Int64
    /// The last walk that found it.
    package var reconciliationId: Int64
    package var object: DriftObject
    /// Our id where there is a row here, otherwise LiteLLM's.
    package var objectId: String
    /// LiteLLM's id; of a key its hash.
    package var litellmId: String?
    /// For people.
    package var name: String?
    package var kind: DriftKind
    /// In the API's spelling; empty when it is about the whole object.
    package var field: String
    package var wanted: String?
    package var found: String?
    package var state: DriftState
    package var firstSeenAt: Date
    package var lastSeenAt: Date
    /// When a person or a policy has decided.
    package var decidedAt: Date?
    package var decidedBy: String?
    /// The job that sets it right.
    package var jobId: Int64?
}

/// Which findings a list shows.
package struct DriftFilter: Sendable {
    /// Empty for all.
    package var objects: [DriftObject] = []
    /// Empty for all.
    package var kinds: [DriftKind] = []
    /// Empty for all.
    package var states: [DriftState] = []
    /// Only those that this walk was the last to find.
    package var reconciliationId: Int64?
    /// Which page.
    package var page = PageRequest()

    /// All findings, first page.
    package init() {}
}

/// One walk through LiteLLM.
package struct Reconciliation: Sendable {
    /// The row.
    package var id: Int64
    package var jobId: Int64
    /// Whether it only looked.
    package var isDryRun: Bool
    package var scope: [String]
    /// What is done, by kind of finding.
    package var policy: JSONValue
    package var startedAt: Date
    /// When everything that was found had been written down.
    package var walkedAt: Date?
    package var finishedAt: Date?
    /// Whether everything was read and believed; otherwise nothing was done.
    package var isComplete: Bool
    /// Sentences about what was not believed.
    package var doubts: [String]
    /// Objects read and findings, by type and kind.
    package var counts: JSONValue
}

extension Reconciliation {
    /// Reads one row.
    package init(row: PostgresRow) throws(PostgresError) {
        self.init(
            id: try row.get("id"), jobId: try row.get("job_id"), isDryRun: try row.get("dry_run"),
            scope: try row.get("scope"), policy: try row.get("policy"), startedAt: try row.get("started_at"),
            walkedAt: try row.get("walked_at"), finishedAt: try row.get("finished_at"),
            isComplete: try row.get("is_complete"), doubts: try row.get("doubts"), counts: try row.get("counts"))
    }
}

extension DriftFinding {
    /// Reads one row.
    package init(row: PostgresRow) throws(PostgresError) {
        self.init(
            id: try row.get("id"), reconciliationId: try row.get("reconciliation_id"),
            object: try row.get("object_type"), objectId: try row.get("object_id"),
            litellmId: try row.get("litellm_id"), name: try row.get("name"), kind: try row.get("kind"),
            field: try row.get("field"), wanted: try row.get("wanted"), found: try row.get("found"),
            state: try row.get("state"), firstSeenAt: try row.get("first_seen_at"),
            lastSeenAt: try row.get("last_seen_at"), decidedAt: try row.get("decided_at"),
            decidedBy: try row.get("decided_by"), jobId: try row.get("job_id"))
    }
}
