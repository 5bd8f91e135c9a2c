import Shared
import Synchronization

extension JobEngine {
    /// How old the view of the limits may grow.
    private static let limitsAge: Duration = .seconds(1)

    /// Learns which queues and kinds have limits; at most once a second, whatever the number of claims. The first time
    /// before a claim, later on after one: a job that has just come in does not wait for it.
    func refreshLimits(isBeforeClaim: Bool) async throws {
        let readAt = state.withLock { $0.limitsReadAt }
        if let readAt, isBeforeClaim || .now - readAt < Self.limitsAge { return }
        let view = try await limits.view(in: database)
        state.withLock { state in
            state.limits = view
            state.limitsReadAt = .now
        }
    }

    /// Whether a claim from this lane has to ask for permits.
    func isLimited(_ lane: EngineState.Lane) -> Bool {
        state.withLock { state in
            !state.limits.isEmpty
                && (state.limits.queues.contains(lane.lane.queueId)
                    || lane.kinds.contains { state.limits.kinds.contains($0) })
        }
    }

    /// Claims from a lane under limits, in one transaction that holds them: no other worker counts or starts meanwhile.
    /// Jobs of a kind that has reached its limit are parked, out of the way of those behind them.
    ///
    /// - Returns: whether there may be more to claim at once.
    func claimLimited(_ lane: EngineState.Lane, limit: Int, workerId: Int32) async throws -> Bool {
        let limitedKinds = state.withLock { state in lane.kinds.filter { state.limits.kinds.contains($0) } }
        let outcome: (started: [ClaimedJob], isMore: Bool)
        do {
            outcome = try await claimUnderLimits(lane, limitedKinds, limit: limit, workerId: workerId)
        } catch {
            // Its commit may have come through.
            state.withLock { $0.hasUncertainClaims = true }
            throw error
        }
        start(outcome.started, isReserved: lane.isReserved)
        if state.withLock({ $0.workerId }) != workerId {
            for job in outcome.started { running.stop(job.attemptId, reason: .leaseLost) }
        }
        return outcome.isMore
    }

    private func claimUnderLimits(
        _ lane: EngineState.Lane, _ limitedKinds: [Int16], limit: Int, workerId: Int32
    ) async throws -> (started: [ClaimedJob], isMore: Bool) {
        try await database.withTransaction { transaction in
            let permits = try await limits.lock(queue: lane.lane.queueId, kinds: limitedKinds, in: transaction)
            let room = min(limit, permits.queue ?? limit)
            guard room > 0 else { return ([ClaimedJob](), false) }
            for (kind, free) in permits.kinds where free > 0 {
                try await limits.unpark(kind: kind, limit: min(free, room), in: transaction)
            }
            var claimed: [ClaimedJob] = []
            let share = room >= 8 ? room / 8 : 0
            if share > 0 {
                let aged = store.claimAgedQuery(
                    lane: lane.lane, beyond: .min, limit: share, age: settings.agedAfter, workerId: workerId)
                claimed = try await transaction.query(aged).map(store.claimed)
            }
            let main = store.claimQuery(
                lane: lane.lane, limit: room - claimed.count, workerId: workerId, after: .start, kinds: nil)
            claimed += try await transaction.query(main).map(store.claimed)
                .sorted { ($0.priority, $0.id) < ($1.priority, $1.id) }

            var left = permits.kinds
            var started: [ClaimedJob] = []
            var parked: [Int64] = []
            for job in claimed {
                if let free = left[job.kindId] {
                    guard free > 0 else {
                        parked.append(job.id)
                        continue
                    }
                    left[job.kindId] = free - 1
                }
                started.append(job)
            }
            if !parked.isEmpty { try await limits.park(parked, in: transaction) }
            if !started.isEmpty {
                let starts = Dictionary(grouping: started, by: \.kindId).mapValues(\.count)
                try await limits.countStarts(
                    queue: lane.lane.queueId, total: started.count, kinds: starts, in: transaction)
            }
            return (started, claimed.count == room)
        }
    }
}
