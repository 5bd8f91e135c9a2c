import Logging
import Shared

extension JobEngine {
    /// Children of one ended parent that are ended in one turn.
    private static let orphansPerTurn = 500

    /// Parents that are looked at in one turn, so that many do not take a connection for good.
    private static let looksPerTurn = 50
    private static let pause: Duration = .milliseconds(300)

    /// One turn of the care for parents: looks at the children of those that wait, and ends the children of those that
    /// have ended themselves. Any number of workers may do it at once.
    func careForFamilies() async throws {
        await WakeSignal().wait(atMost: Self.pause * (0.8 + 0.4 * Double.random(in: 0..<1)))
        // One small statement as long as nobody has children.
        guard try await PostgresFamilyStore().exist(in: database) else { return }
        for _ in 0..<Self.looksPerTurn {
            guard !Task.isCancelled, let look = try await lookAtNextParent() else { break }
            guard !look.isOpen else { continue }
            let counts = look.family.counts
            if look.family.policy == .allMustSucceed, counts.succeeded < counts.total {
                await queue.announce(try await queue.failParent(jobId: look.parent, counts: counts))
            } else if try await PostgresFamilyStore().resume(parent: look.parent, in: database) {
                wake([look.queueId])
            }
        }
        try await endOrphans()
    }

    private func lookAtNextParent() async throws -> PostgresFamilyStore.Look? {
        try await database.withTransaction { try await PostgresFamilyStore().lookAtNext(in: $0) }
    }

    private func endOrphans() async throws {
        let families = PostgresFamilyStore()
        for parent in try await families.endedParents(limit: 50, in: database) {
            let children = try await families.orphans(of: parent, limit: Self.orphansPerTurn, in: database)
            if !children.isEmpty {
                logger.notice(
                    "a parent has ended before its children; they end too",
                    metadata: ["job_id": "\(parent)", "children": "\(children.count)"])
            }
            for id in children { try await queue.cancelChild(id: id, parent: parent) }
            if children.count < Self.orphansPerTurn { try await families.close(parent: parent, in: database) }
        }
    }
}
