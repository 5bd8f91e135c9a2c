package import Foundation

/// How far LiteLLM agrees with a row of ours.
package enum SyncStatus: String, Sendable, Codable, CaseIterable, PostgresDecodable {
    /// Not there yet; a job is on its way.
    case pending
    /// Read back from LiteLLM and found equal.
    case synced
    /// Given up; the error says why. A person can retry.
    case failed
    /// LiteLLM was changed behind our back.
    case drifted
}

/// Why the last synchronisation of a row was given up. Safe to show to the row's owner.
package struct SyncError: Sendable, Codable, Equatable {
    /// `retryable`, `conflict`, `permanent`, `lost` or `cancelled`.
    package var errorClass: String
    /// A stable snake_case code.
    package var code: String
    /// One sentence.
    package var message: String
    /// When it was given up: set by the database when it is stored.
    package var at: Date?

    /// An error.
    package init(errorClass: String, code: String, message: String, at: Date? = nil) {
        self.errorClass = errorClass
        self.code = code
        self.message = message
        self.at = at
    }

    /// As stored, but for the member `at`.
    var json: JSONValue {
        ["class": .string(errorClass), "code": .string(code), "message": .string(message)]
    }

    /// Nil for anything else than what a store makes of `json`.
    init?(json: JSONValue?) {
        guard let json, let errorClass = json["class"]?.stringValue, let code = json["code"]?.stringValue,
            let message = json["message"]?.stringValue
        else { return nil }
        self.init(
            errorClass: errorClass, code: code, message: message,
            at: json["at"]?.stringValue.flatMap(ISO8601.date(from:)))
    }
}

/// The synchronisation columns that every row with a counterpart in LiteLLM has.
package struct SyncState: Sendable, Equatable {
    /// How far LiteLLM agrees.
    package var status: SyncStatus
    /// The version of the row; grows with every change that LiteLLM has to learn of.
    package var versionWanted: Int64
    /// The newest version that was read back from LiteLLM; 0 before the first.
    package var versionApplied: Int64
    /// Why it was given up, when it was.
    package var error: SyncError?
    /// The job that last acted, or is to act, on the row.
    package var lastJobId: Int64?

    /// A state that LiteLLM knows nothing of, unless told otherwise.
    package init(
        status: SyncStatus, versionWanted: Int64 = 1, versionApplied: Int64 = 0, error: SyncError? = nil,
        lastJobId: Int64? = nil
    ) {
        self.status = status
        self.versionWanted = versionWanted
        self.versionApplied = versionApplied
        self.error = error
        self.lastJobId = lastJobId
    }

    /// Whether LiteLLM has the newest version.
    package var isSynced: Bool { status == .synced && versionApplied >= versionWanted }

    init(row: PostgresRow) throws(PostgresError) {
        self.init(
            status: try row.get("sync_status"), versionWanted: try row.get("version_wanted"),
            versionApplied: try row.get("version_applied"), error: SyncError(json: try row.get("sync_error")),
            lastJobId: try row.get("last_job_id"))
    }
}
