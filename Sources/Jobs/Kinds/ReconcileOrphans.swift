import Foundation
import Logging
package import Shared

/// Compares LiteLLM with our rows, in both directions, writes down what differs, and sets right what the policy says.
/// Goes by complete lists only, and looks at everything suspicious a second time before it believes it.
package struct ReconcileOrphans: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The walk.
        package var reconciliationId: Int64
        /// False when a list was not believed: then nothing was done.
        package var isComplete: Bool
        package var dryRun: Bool
        /// Objects read and findings, by type and kind.
        package var counts: JSONValue
        /// Objects that were set right, and read back.
        package var repaired: Int
        /// Keys that LiteLLM refuses by now, read back.
        package var revoked: Int
        /// Objects that could not be set right.
        package var failed: Int
        /// Sentences about what was not believed.
        package var doubts: [String]
    }

    package static let name = "reconcile.orphans"
    package static let upstream: Upstream? = .litellmAdmin
    package static let timeout: Duration = .seconds(3600)
    /// After what people wait for.
    package static let priority = 100
    package static let isProbeSafe = true
    private static let chunk = 200
    private static let retentionDays = 90

    /// Nil for everything.
    package let scope: [ReconcileScope]?
    /// Whether it only looks; nil for yes.
    package let dryRun: Bool?
    package let policy: ReconcilePolicy?

    package init(scope: [ReconcileScope]? = nil, dryRun: Bool = true, policy: ReconcilePolicy = ReconcilePolicy()) {
        let asked = Set(scope ?? ReconcileScope.allCases)
        self.scope = ReconcileScope.allCases.filter(asked.contains)
        self.dryRun = dryRun
        self.policy = policy.filled
    }

    // One at a time. No unique key: a parent that is put back beside a newer one would end, and its children with it.
    package var orderKey: String? { "reconciliation" }

    package func run(in context: JobContext) async throws -> Output {
        if try await context.children() != nil { return try await finish(context) }
        let walk = try await context.transaction { transaction in
            try await PostgresDriftStore().begin(
                job: context.id, dryRun: dryRun ?? true, scope: (scope ?? ReconcileScope.allCases).map(\.rawValue),
                policy: (policy ?? ReconcilePolicy()).json, in: transaction)
        }
        if walk.walkedAt == nil { try await look(walk.id, context) }
        guard try await decide(walk.id, context) else { return try await finish(context) }
        throw JobWaitForChildren(.someMayFail)
    }

    // MARK: Looking

    private func look(_ id: Int64, _ context: JobContext) async throws {
        var walk = ReconciliationWalk(id: id, context: context)
        for part in scope ?? ReconcileScope.allCases { try await walk.read(part.object) }
        if !(dryRun ?? true), policy?.action(for: .unknown) == .revoke { try await walk.weighUnknownKeys() }
        guard walk.doubts.isEmpty else { return try await doubt(walk, context) }
        var found: [DriftObject: [DriftKind: Int]] = walk.strangerCounts
        var skipped: [DriftObject: Int] = [:]
        let suspects = walk.suspects.sorted {
            ($0.key.object.rawValue, $0.key.id) < ($1.key.object.rawValue, $1.key.id)
        }
        for (number, (suspect, litellmIds)) in suspects.enumerated() {
            if let kinds = try await confirm(suspect, litellmIds, walk: id, context) {
                for kind in Set(kinds) { found[suspect.object, default: [:]][kind, default: 0] += 1 }
            } else {
                skipped[suspect.object, default: 0] += 1
            }
            if number % 20 == 0 {
                try await context.progress(
                    0.5 + 0.5 * Double(number) / Double(suspects.count),
                    "\(number) of \(suspects.count) differences were looked at again.")
            }
        }
        let (done, counts) = (walk, Self.counts(walk.read, found, skipped))
        try await context.transaction { try await note(done, counts, in: $0) }
    }

    /// Looks again and writes down what is true still. Nil when nothing can be said about the object now.
    private func confirm(
        _ suspect: ReconciliationWalk.Suspect, _ litellmIds: Set<String>, walk: Int64, _ context: JobContext
    ) async throws -> [DriftKind]? {
        let (check, store) = (DriftCheck(context), PostgresDriftStore())
        let look = try await check.look(at: suspect.object, suspect.id, litellmIds: litellmIds)
        return try await context.transaction { transaction in
            guard case .seen(let observations, let version) = look,
                try await check.holds(suspect.object, suspect.id, version: version, in: transaction)
            else {
                try await store.keep(suspect.object, suspect.id, walk: walk, in: transaction)
                return nil
            }
            try await store.record(observations, of: suspect.object, suspect.id, walk: walk, in: transaction)
            return observations.map(\.kind)
        }
    }

    private func note(
        _ walk: ReconciliationWalk, _ counts: JSONValue, in transaction: PostgresTransaction
    ) async throws {
        let store = PostgresDriftStore()
        for (object, strangers) in walk.strangers {
            for (id, observation) in strangers.sorted(by: { $0.key < $1.key }) {
                try await store.record([observation], of: object, id, walk: walk.id, in: transaction)
            }
        }
        // What was left out is not known to be gone.
        if !walk.isTruncated {
            for part in scope ?? ReconcileScope.allCases {
                let isCut = walk.truncatedStrangers.contains(part.object)
                let kinds = DriftKind.allCases.filter { !isCut || ($0 != .unknown && $0 != .foreign) }
                try await store.close(part.object, kinds: kinds, walk: walk.id, in: transaction)
            }
        }
        try await store.noteWalked(walk.id, isComplete: true, doubts: [], counts: counts, in: transaction)
        try await store.purge(olderThanDays: Self.retentionDays, in: transaction)
    }

    /// Nothing is written down but why.
    private func doubt(_ walk: ReconciliationWalk, _ context: JobContext) async throws {
        for doubt in walk.doubts { context.logger.error("reconciliation", metadata: ["doubt": "\(doubt)"]) }
        let counts = Self.counts(walk.read, [:], [:])
        try await context.transaction { transaction in
            try await PostgresDriftStore().noteWalked(
                walk.id, isComplete: false, doubts: walk.doubts, counts: counts, in: transaction)
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "RECONCILE_DOUBTED", resourceType: "reconciliation",
                    resourceId: String(walk.id), jobId: context.id, success: false,
                    errorMessage: walk.doubts.joined(separator: " ")),
                in: transaction)
        }
    }

    private static func counts(
        _ read: [DriftObject: Int], _ found: [DriftObject: [DriftKind: Int]], _ skipped: [DriftObject: Int]
    ) -> JSONValue {
        .object(
            Dictionary(
                uniqueKeysWithValues: read.map { object, count in
                    var members: [String: JSONValue] = [
                        "read": .int(count), "skipped": .int(skipped[object] ?? 0),
                    ]
                    for kind in DriftKind.allCases { members[kind.rawValue] = .int(found[object]?[kind] ?? 0) }
                    return (object.rawValue, .object(members))
                }))
    }

    // MARK: Deciding

    /// Puts the repairs in that the policy wants. False when there are none.
    private func decide(_ walk: Int64, _ context: JobContext) async throws -> Bool {
        let (store, policy) = (PostgresDriftStore(), policy ?? ReconcilePolicy())
        let kinds = DriftKind.allCases.filter { policy.action(for: $0) != .report }
        guard !(dryRun ?? true), !kinds.isEmpty else { return false }
        while true {
            let count = try await context.transaction { transaction in
                let subjects = try await store.undecided(
                    kinds: kinds, walk: walk, limit: Self.chunk, in: transaction)
                for subject in subjects {
                    try await store.move(subject, to: .repairing, job: context.id, by: "policy", in: transaction)
                }
                _ = try await context.addChildren(
                    subjects.map { DriftSettle(subject: $0, action: policy.action(for: $0.kind)) }, in: transaction)
                return subjects.count
            }
            guard count > 0 else { break }
        }
        return try await PostgresFamilyStore().find(parent: context.id, in: context.services.database) != nil
    }

    private func finish(_ context: JobContext) async throws -> Output {
        let database = context.services.database
        var outcomes: [DriftSettle.Outcome: Int] = [:]
        var (last, failed) = (Int64(0), 0)
        while true {
            let results = try await context.childResults(as: DriftSettle.Output.self, after: last)
            for result in results {
                if let outcome = result.output?.outcome { outcomes[outcome, default: 0] += 1 } else { failed += 1 }
            }
            guard let next = results.last?.id else { break }
            last = next
        }
        try await context.transaction { try await PostgresDriftStore().noteFinished(ofJob: context.id, in: $0) }
        guard let walk = try await PostgresDriftStore().walk(ofJob: context.id, in: database) else {
            throw JobFailure.rowMissing("reconciliation")
        }
        return Output(
            reconciliationId: walk.id, isComplete: walk.isComplete, dryRun: walk.isDryRun, counts: walk.counts,
            repaired: outcomes[.repaired] ?? 0, revoked: outcomes[.revoked] ?? 0,
            failed: failed + (outcomes[.failed] ?? 0) + (outcomes[.lost] ?? 0), doubts: walk.doubts)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresDriftStore().noteFinished(ofJob: end.jobId, doubt: end.error.message, in: transaction)
        try await end.audit("RECONCILE_FAILED", about: "reconciliation", String(end.jobId), in: transaction)
    }
}
