import Foundation
import Logging
import Shared
import Synchronization

/// Lets through, of all processes together, as many requests of a key as its limit allows in a minute.
///
/// Most requests are counted here, without the database: a process takes a twentieth of a limit at once. So a key costs
/// at most some twenty statements a minute, whatever its rate, and keys that need one at the same moment share it.
/// While the database does not answer, each process counts for itself.
final class RateLimiter: Sendable {
    typealias Take = @Sendable ([RateLimitDemand]) async throws -> [String: RateLimitGrant]

    /// Into how many chunks a limit is cut.
    private static let chunks = 20
    /// How long the database is left alone after it did not answer.
    private static let pause: Duration = .seconds(5)
    private static let batchLimit = 200

    private struct State {
        var table: RateLimitTable<CheckedContinuation<RateLimitDecision, Never>>
        var awayUntil: ContinuousClock.Instant?
    }

    private let state: Mutex<State>
    private let loader: BatchLoader<RateLimitDemand, RateLimitGrant>
    private let now: @Sendable () -> ContinuousClock.Instant
    private let logger: Logger

    /// - Parameters:
    ///   - capacity: keys that are remembered.
    ///   - timeLimit: how long a request waits for the database.
    ///   - take: the statement; every demand must be in its answer.
    init(
        capacity: Int = 50_000, timeLimit: Duration = .seconds(1), logger: Logger,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }, take: @escaping Take
    ) {
        state = Mutex(State(table: RateLimitTable(capacity: capacity)))
        self.now = now
        self.logger = logger
        loader = BatchLoader(batchLimit: Self.batchLimit) { demands in
            let grants = try await withDeadline(timeLimit) { try await take(demands) }
            return Dictionary(
                demands.compactMap { demand in grants[demand.key].map { (demand, $0) } },
                uniquingKeysWith: { first, _ in first })
        }
    }

    /// Keys that are remembered.
    var count: Int { state.withLock { $0.table.count } }

    /// Counts one request of the key. `limit` is above zero.
    func take(_ key: RateLimitKey, limit: Int) async -> RateLimitDecision {
        let now = now()
        if let decision = state.withLock({ $0.table.decide(key, at: now) }) { return decision }
        return await withCheckedContinuation { continuation in
            let step = state.withLock { $0.table.ask(key, limit: limit, at: now, waiter: continuation) }
            switch step {
            case .decided(let decision): continuation.resume(returning: decision)
            // The callers of a chunk are many: it must outlive the cancellation of any of them.
            case .wait(mustFetch: true): Task { await fetch(key, limit: limit) }
            case .wait(mustFetch: false): break
            }
        }
    }

    private func fetch(_ key: RateLimitKey, limit: Int) async {
        let demand = RateLimitDemand(key: key.text, limit: limit, chunk: max(limit / Self.chunks, 1))
        var mustFetch = true
        while mustFetch {
            let sent = now()
            let grant = await grant(for: demand, at: sent)
            let received = now()
            let outcome = state.withLock { state in
                if let grant {
                    state.table.apply(grant, to: key, sent: sent, now: received)
                } else {
                    state.table.applyLocally(to: key, sent: sent, now: received)
                }
            }
            for (waiter, decision) in outcome.served { waiter.resume(returning: decision) }
            mustFetch = outcome.mustFetch
        }
    }

    /// A chunk; nil when the database did not answer.
    private func grant(for demand: RateLimitDemand, at time: ContinuousClock.Instant) async -> RateLimitGrant? {
        guard state.withLock({ $0.awayUntil.map { time >= $0 } ?? true }) else { return nil }
        do {
            guard let grant = try await loader.value(for: demand) else { throw MissingGrant() }
            if state.withLock({ $0.awayUntil.take() }) != nil {
                logger.notice("request limits hold for all processes together again")
            }
            return grant
        } catch {
            let until = now() + Self.pause
            let wasThere = state.withLock { state in
                defer { state.awayUntil = until }
                return state.awayUntil == nil
            }
            if wasThere {
                logger.warning(
                    "request limits cannot be counted in the database: each process counts for itself until it answers",
                    metadata: ["error": "\(error)"])
            }
            return nil
        }
    }
}

/// The statement answered without one of its keys.
private struct MissingGrant: Error {}
