import Foundation
import Shared

/// Whether a parent may succeed although children have not.
package enum ChildPolicy: Int16, Sendable, Codable {
    /// The parent fails with `children_failed` when any child has ended otherwise.
    case allMustSucceed = 0
    /// The parent runs again and decides with the counts and the results it has.
    case someMayFail = 1
}

/// How a parent's children have come out so far.
package struct ChildCounts: Sendable, Codable, Equatable {
    /// Put in.
    package var total: Int
    package var succeeded: Int
    /// Ended among the dead letters, or gone from them.
    package var failed: Int
    package var cancelled: Int

    package var ended: Int { succeeded + failed + cancelled }

    package init(total: Int, succeeded: Int = 0, failed: Int = 0, cancelled: Int = 0) {
        self.total = total
        self.succeeded = succeeded
        self.failed = failed
        self.cancelled = cancelled
    }
}

/// Thrown by a handler that has put its children in and is to be called again when all of them have ended. Until then
/// the job takes no slot; the attempt is not charged. A handler called again finds ``JobContext/children()``.
package struct JobWaitForChildren: Error, Sendable {
    package let policy: ChildPolicy

    package init(_ policy: ChildPolicy = .allMustSucceed) {
        self.policy = policy
    }
}

/// How one child came out.
package struct ChildResult<Output: Codable & Sendable>: Sendable {
    package var id: Int64
    package var state: JobState
    /// What it reported; nil unless it succeeded with something to report.
    package var output: Output?
    /// Why it did not succeed.
    package var error: JobErrorInfo?
}

/// A child that did not succeed.
struct ChildFailure: Sendable, Equatable {
    /// What it acts on.
    var resourceId: String?
    var code: String
    var message: String
}

extension ChildResult: Equatable where Output: Equatable {}

extension JobErrorInfo {
    static func childrenFailed(_ counts: ChildCounts) -> JobErrorInfo {
        JobErrorInfo(
            errorClass: .permanent, code: "children_failed",
            message: "\(counts.failed + counts.cancelled) of its \(counts.total) jobs did not succeed.")
    }

    static func parentEnded(_ id: Int64) -> JobErrorInfo {
        JobErrorInfo(errorClass: .cancelled, code: "parent_ended", message: "Job \(id), which it was part of, ended.")
    }
}

extension JobContext {
    /// How the children came out, once all have ended after ``JobWaitForChildren``; nil before, so at the first call.
    ///
    /// - Throws: ``JobFailure`` `children_failed` when all had to succeed and did not.
    package func children() async throws -> ChildCounts? {
        guard let family = try await PostgresFamilyStore().find(parent: id, in: services.database),
            family.counts.ended == family.counts.total
        else { return nil }
        if family.policy == .allMustSucceed, family.counts.succeeded < family.counts.total {
            throw JobFailure(info: .childrenFailed(family.counts))
        }
        return family.counts
    }

    /// Puts children in, in transactions of `chunk` jobs each. An attempt that follows a crash goes on behind those
    /// that are there: so the list must come out the same again. A child shares no job with others: its unique key is
    /// not used.
    ///
    /// - Throws: ``JobLeaseLost``.
    package func enqueueChildren<Kind: JobKind>(_ jobs: [Kind], chunk: Int = 500) async throws {
        let families = PostgresFamilyStore()
        var done = 0
        repeat {
            let start = done
            done = try await transaction { transaction in
                let there = try await families.open(parent: id, in: transaction).count
                let first = max(start, there)
                let part = jobs.dropFirst(first).prefix(max(1, chunk))
                guard !part.isEmpty else { return jobs.count }
                try await addChildren(Array(part), in: transaction)
                return first + part.count
            }
        } while done < jobs.count
    }

    /// Puts more children in, in the transaction that makes them necessary: what it changes and the children are there
    /// together or not at all. Not to be mixed with ``enqueueChildren(_:chunk:)``.
    ///
    /// - Parameter resource: what a child acts on.
    /// - Returns: those that act on something, in the order of `jobs`.
    @discardableResult
    func addChildren<Kind: JobKind>(
        _ jobs: [Kind], resource: (Kind) -> JobResource? = { _ in nil }, in transaction: PostgresTransaction
    ) async throws -> [EnqueuedJob] {
        // A family without anybody in it would look as if all of it had ended.
        guard !jobs.isEmpty else { return [] }
        let families = PostgresFamilyStore()
        let there = try await families.open(parent: id, in: transaction)
        guard !jobs.contains(where: { $0.orderKey != nil && $0.orderKey == there.orderKey }) else {
            throw JobFailure.permanent(
                code: "child_behind_parent",
                message: "A child acts on the object that its parent holds, so both would wait for ever.")
        }
        let children = try await services.queue.enqueueChildren(
            jobs.map { ($0, resource($0)) }, parent: id, requester: requester, in: transaction)
        try await families.grow(parent: id, by: jobs.count, in: transaction)
        return children
    }

    /// The last object that a child of this job acts on, in the order of their ids: where an attempt that walks through
    /// objects in that order goes on after a crash. Nil before the first child.
    func lastChildResource() async throws -> UUID? {
        try await PostgresFamilyStore().lastResource(parent: id, in: services.database)
    }

    /// What became of children that did not succeed, with what they act on; at most `limit`, oldest first.
    func childFailures(limit: Int) async throws -> [ChildFailure] {
        try await PostgresFamilyStore().failures(parent: id, limit: limit, in: services.database)
    }

    /// Puts one more child in, for intents that make jobs of their own: see
    /// ``KeyProvisioning/inFamily(of:)``.
    func addChild<Kind: JobKind>(
        _ job: Kind, options: JobOptions, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        let families = PostgresFamilyStore()
        _ = try await families.open(parent: id, in: transaction)
        var options = options
        options.parentId = id
        let child = try await services.queue.enqueue(job, options: options, in: transaction)
        try await families.grow(parent: id, by: 1, in: transaction)
        return child
    }

    /// What the children reported, by id: partial results where some failed.
    ///
    /// - Parameter after: the last id of the page before.
    package func childResults<Output: Codable & Sendable>(
        as type: Output.Type, after last: Int64 = 0, limit: Int = 500
    ) async throws -> [ChildResult<Output>] {
        try await PostgresFamilyStore().results(
            parent: id, after: last, limit: min(max(limit, 1), 1000), in: services.database)
    }
}

extension JobQueue {
    /// Puts a parent's children in, in one transaction; gives those that act on something.
    func enqueueChildren<Kind: JobKind>(
        _ jobs: [(job: Kind, resource: JobResource?)], parent: Int64, requester: JobRequester,
        in transaction: PostgresTransaction
    ) async throws -> [EnqueuedJob] {
        guard let handler = catalog.handlers[Kind.name] else { throw JobQueueError.unknownKind(Kind.name) }
        let rows = try jobs.map { job, resource in
            var options = JobOptions()
            options.requester = requester
            options.parentId = parent
            options.resource = resource
            return PostgresJobStore.NewJob(
                handler: handler, args: String(decoding: try JSON.encoder.encode(job), as: UTF8.self), uniqueKey: nil,
                orderKey: job.orderKey, priority: Kind.priority, options: options)
        }
        let plain = rows.filter { $0.orderKey == nil && $0.options.resource == nil }
        if !plain.isEmpty {
            try await PostgresFamilyStore().insertPlain(
                plain, parent: parent, requester: requester, names: store.names, in: transaction)
        }
        var children: [EnqueuedJob] = []
        for row in rows where row.orderKey != nil || row.options.resource != nil {
            children.append(try await store.enqueue(row, in: transaction))
        }
        let queueId = try store.names.queueId(Kind.queue)
        transaction.afterCommit { await wakeups.ready(queueId) }
        return children
    }

    /// A parent's children, live and ended, by id.
    ///
    /// - Parameter after: the last id of the page before.
    package func children(of id: Int64, after last: Int64 = 0, limit: Int = 100) async throws -> [JobSnapshot] {
        try await store.children(of: id, after: last, limit: min(max(limit, 1), 500), in: database)
    }

    /// Ends one child of a parent that has ended: at once when it waits, else as soon as its worker hears of it.
    func cancelChild(id: Int64, parent: Int64) async throws {
        try await database.withTransaction(retries: Self.retries) { transaction in
            guard let job = try await store.lock(jobId: id, in: transaction) else { return }
            let by = "job \(parent)"
            if job.state == .running {
                let worker = try await store.requestCancel(jobId: id, by: by, in: transaction)
                transaction.afterCommit { if let worker { await wakeups.cancelled(worker) } }
            } else {
                let result = try await ending.end(
                    job, as: .cancelled, error: .parentEnded(parent), by: by, attempted: false, in: transaction)
                transaction.afterCommit { await announce(result) }
            }
        }
    }
}
