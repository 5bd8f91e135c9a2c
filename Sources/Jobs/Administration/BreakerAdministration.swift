package import Shared

/// What operators do with circuit breakers.
package struct BreakerAdministration: Sendable {
    /// How a person holds a breaker.
    package enum Force: String, Sendable, Codable, CaseIterable {
        /// Jobs of its class wait, whatever the upstream does.
        case open
        /// Jobs of its class start, whatever the upstream does.
        case closed
    }

    private let queue: JobQueue
    private let store = PostgresBreakerStore()
    private let audit = PostgresAuditStore()

    /// - Parameter queue: prepared.
    package init(queue: JobQueue) { self.queue = queue }

    /// All breakers.
    package func breakers() async throws -> [BreakerReport] { try await store.reports(in: queue.database) }

    /// One breaker, as the caller's transaction sees it.
    ///
    /// - Throws: ``AdministrationError`` when there is none of this name.
    package func breaker(_ name: String, in executor: any PostgresExecutor) async throws -> BreakerReport {
        guard let report = try await store.reports(in: executor).first(where: { $0.name == name }) else {
            throw AdministrationError.notFound("breaker", name)
        }
        return report
    }

    /// The same, as it is now.
    package func breaker(_ name: String) async throws -> BreakerReport { try await breaker(name, in: queue.database) }

    /// Holds a breaker open or closed until it is reset.
    ///
    /// - Throws: ``AdministrationError``.
    package func force(
        _ name: String, _ state: Force, reason: String, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> BreakerReport {
        try await change(
            name, open: state == .open, reason: reason, by: actor,
            action: state == .open ? "BREAKER_FORCE_OPEN" : "BREAKER_FORCE_CLOSED", in: transaction)
    }

    /// Closes a breaker and leaves it to itself again.
    ///
    /// - Throws: ``AdministrationError``.
    package func reset(
        _ name: String, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> BreakerReport {
        try await change(name, open: nil, reason: nil, by: actor, action: "BREAKER_RESET", in: transaction)
    }

    private func change(
        _ name: String, open: Bool?, reason: String?, by actor: AuditActor, action: String,
        in transaction: PostgresTransaction
    ) async throws -> BreakerReport {
        guard let upstream = Upstream(rawValue: name) else { throw AdministrationError.notFound("breaker", name) }
        let before = try await breaker(name, in: transaction)
        guard try await store.force(upstream, open: open, reason: reason, by: actor.name, in: transaction) else {
            throw AdministrationError.notFound("breaker", name)
        }
        let after = try await breaker(name, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: action, resourceType: "BREAKER", resourceId: name,
                oldValues: ["state": .string(before.state)], newValues: ["state": .string(after.state)],
                metadata: .administration(force: false, reason: reason)),
            in: transaction)
        return after
    }
}
