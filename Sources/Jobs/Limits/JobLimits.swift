package import Foundation
import Logging
package import Shared

/// What a limit holds for.
package enum JobLimitScope: String, Sendable, Codable, CaseIterable {
    case queue
    case kind

    var code: Int16 { self == .queue ? 0 : 1 }
}

/// At most so many starts in a period.
package struct JobRate: Codable, Sendable, Equatable {
    package var count: Int
    /// 1...86400.
    package var seconds: Int

    package init(count: Int, per seconds: Int) {
        self.count = count
        self.seconds = seconds
    }
}

/// A limit as it stands, for the whole fleet.
package struct JobLimit: Codable, Sendable, Equatable {
    package var scope: JobLimitScope
    /// The queue's or the kind's name.
    package var name: String
    /// Jobs at once; nil for no limit, 0 for none at all.
    package var maxRunning: Int?
    /// Starts in a period; nil for no limit.
    package var rate: JobRate?
    /// Jobs that run now.
    package var running: Int
    /// Starts in the running period.
    package var starts: Int
    /// When the running period ends; nil when none runs.
    package var periodEndsAt: Date?
    /// Jobs of a limited kind that were put aside, at most 10 000 are counted.
    package var parked: Int
    package var changedBy: String
    package var changedAt: Date

    /// Whether nothing more may start now.
    package var isReached: Bool {
        maxRunning.map { running >= $0 } ?? false || rate.map { periodEndsAt != nil && starts >= $0.count } ?? false
    }
}

/// Limits on queues and kinds that hold for the whole fleet and change while it runs. A claim asks about a limit only
/// while there is one on its lane.
package struct JobLimits: Sendable {
    private let queue: JobQueue
    private let store = PostgresLimitStore()

    /// - Parameter queue: prepared.
    package init(queue: JobQueue) {
        self.queue = queue
    }

    /// All limits; queues first.
    package func list() async throws -> [JobLimit] {
        try await store.list(names: queue.store.names, in: queue.database)
    }

    /// The limit of one queue or kind; nil when it has none.
    package func get(_ scope: JobLimitScope, _ name: String) async throws -> JobLimit? {
        _ = try target(scope, name)
        return try await list().first { $0.scope == scope && $0.name == name }
    }

    /// Sets a limit, replacing the one before; none of both lifts it. Workers follow within a second.
    ///
    /// - Parameter force: also limits a queue whose work protects others (revocations), or a kind in it.
    /// - Throws: ``AdministrationError``.
    package func set(
        _ scope: JobLimitScope, _ name: String, maxRunning: Int?, rate: JobRate?, by actor: AuditActor,
        force: Bool = false
    ) async throws {
        try await queue.database.withTransaction {
            _ = try await set(scope, name, maxRunning: maxRunning, rate: rate, by: actor, force: force, in: $0)
        }
    }

    /// The same in the caller's transaction. Returns the limit as it stands then; nil when there is none.
    package func set(
        _ scope: JobLimitScope, _ name: String, maxRunning: Int?, rate: JobRate?, by actor: AuditActor,
        force: Bool = false, in transaction: PostgresTransaction
    ) async throws -> JobLimit? {
        let target = try target(scope, name)
        try Self.check(maxRunning: maxRunning, rate: rate)
        let queueName = scope == .queue ? name : queue.catalog.handlers[name]?.queue
        let queueId = try queueName.map { try queue.store.names.queueId($0) }
        if !force, let queueName, let queueId,
            try await queue.store.isProtected(queueId: queueId, in: transaction)
        {
            throw AdministrationError.protectedQueue(queueName)
        }
        let old = try await store.set(
            scope, target, maxRunning: maxRunning, rate: rate, by: actor.name, in: transaction)
        try await PostgresAuditStore().append(
            AuditEntry(
                actor: actor, action: "JOB_LIMIT_SET", resourceType: "job_\(scope.rawValue)", resourceId: name,
                oldValues: old, newValues: Self.values(maxRunning: maxRunning, rate: rate),
                metadata: ["force": .bool(force)]),
            in: transaction)
        transaction.afterCommit { await release(queueId) }
        return try await store.list(names: queue.store.names, in: transaction)
            .first { $0.scope == scope && $0.name == name }
    }

    /// More may be allowed now.
    private func release(_ queueId: Int16?) async {
        var woken = Set(queueId.map { [$0] } ?? [])
        do {
            woken.formUnion(try await store.releaseUnlimited(limit: 1000, in: queue.database))
        } catch {
            // The workers look for them all the time.
            queue.logger.warning("parked jobs could not be released", metadata: ["error": "\(error)"])
        }
        for queueId in woken { await queue.wakeups.ready(queueId) }
    }

    static func values(maxRunning: Int?, rate: JobRate?) -> JSONValue {
        [
            "maxRunning": maxRunning.map { .int($0) } ?? .null,
            "rateCount": rate.map { .int($0.count) } ?? .null,
            "rateSeconds": rate.map { .int($0.seconds) } ?? .null,
        ]
    }

    private func target(_ scope: JobLimitScope, _ name: String) throws(AdministrationError) -> Int16 {
        do {
            return try scope == .queue ? queue.store.names.queueId(name) : queue.store.names.kindId(name)
        } catch {
            throw .notFound(scope.rawValue, name)
        }
    }

    private static func check(maxRunning: Int?, rate: JobRate?) throws(AdministrationError) {
        if let maxRunning, !(0...100_000).contains(maxRunning) {
            throw .invalid("maxRunning", "\(maxRunning) is out of range; use 0 to 100000.")
        }
        guard let rate else { return }
        if !(0...1_000_000).contains(rate.count) {
            throw .invalid("rate.count", "\(rate.count) is out of range; use 0 to 1000000.")
        }
        if !(1...86_400).contains(rate.seconds) {
            throw .invalid("rate.seconds", "\(rate.seconds) is out of range; use 1 to 86400.")
        }
    }
}
