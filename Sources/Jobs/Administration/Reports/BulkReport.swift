package import Foundation

/// One action on all jobs that a filter means.
package struct BulkRequest: Codable, Sendable, Equatable {
    /// What is done to each job.
    package enum Action: String, Codable, Sendable, CaseIterable {
        /// Failed jobs come back with fresh attempts; waiting ones that are named by state become due.
        case retry
        /// Unfinished jobs end, running ones as soon as their worker hears of it.
        case cancel
        /// Failed jobs leave the dead letters for the history.
        case discard
        /// Waiting jobs start at `runAt`.
        case reschedule

        /// The states it can be applied to.
        package var states: [JobState] {
            switch self {
            case .retry: [.failed, .retrying, .scheduled]
            case .cancel: [.ready, .running, .scheduled, .retrying, .blocked]
            case .discard: [.failed]
            case .reschedule: [.ready, .scheduled, .retrying]
            }
        }

        /// The states it is applied to when the filter names none.
        package var usualStates: [JobState] { self == .retry ? [.failed] : states }
    }

    package var action: Action
    package var filter: JobQuery
    /// For ``Action/reschedule``: when the jobs are to start.
    package var runAt: Date?
    /// Also acts on work that protects others.
    package var force: Bool
    /// Why, for the audit log.
    package var reason: String?

    package init(
        action: Action, filter: JobQuery, runAt: Date? = nil, force: Bool = false, reason: String? = nil
    ) {
        self.action = action
        self.filter = filter
        self.runAt = runAt
        self.force = force
        self.reason = reason
    }

    /// - Throws: ``AdministrationError`` for a request that would mean every job, or cannot be carried out.
    package func check() throws(AdministrationError) {
        var bare = filter
        bare.discarded = nil
        guard !bare.isEmpty else {
            throw .invalid("filter", "must name at least one kind, state, queue, resource, error code, time or id")
        }
        if action == .reschedule, runAt == nil { throw .invalid("runAt", "is required to reschedule jobs") }
        if action != .reschedule, runAt != nil { throw .invalid("runAt", "is only for rescheduling jobs") }
    }
}

/// Why some jobs are left as they are.
package struct BulkRefusal: Codable, Sendable, Equatable {
    /// Why a job is refused.
    package enum Code: String, Codable, Sendable, CaseIterable {
        /// Its state does not allow the action.
        case wrongState = "wrong_state"
        /// It protects others; `force` is needed.
        case protected
        /// Another job does the same work already.
        case keyTaken = "key_taken"
        /// It is no longer there.
        case gone
        /// The action failed on it.
        case failed

        package var message: String {
            switch self {
            case .wrongState: "Their state does not allow it."
            case .protected: "They protect others (they revoke access); force is needed."
            case .keyTaken: "Another job does the same work already."
            case .gone: "They ended meanwhile."
            case .failed: "The action failed on them."
            }
        }
    }

    package var code: Code
    package var message: String
    package var count: Int

    init(_ code: Code, _ count: Int) {
        self.code = code
        self.message = code.message
        self.count = count
    }
}

/// What a bulk action would do, without doing it.
package struct BulkPreview: Codable, Sendable, Equatable {
    package var action: BulkRequest.Action
    /// Always true: nothing was done.
    package var dryRun: Bool
    /// The filter as it is applied, states included.
    package var filter: JobQuery
    package var matched: CountReport
    /// Jobs that it would change.
    package var affected: CountReport
    package var skipped: [BulkRefusal]
    /// Some of the jobs that match, newest first.
    package var sample: [JobReport]
}

/// What a bulk action did.
package struct BulkReport: Codable, Sendable, Equatable {
    package var action: BulkRequest.Action
    package var processed: Int
    package var changed: Int
    package var refused: [BulkRefusal]
    /// The first 1000 that were refused.
    package var refusedIds: [JobNumber]
}
