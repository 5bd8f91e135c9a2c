package import CoreMetrics
import Foundation
package import Logging
import ServiceLifecycle
package import Shared
import Synchronization

/// A worker: claims jobs, runs them under a lease, writes down how they came out, and cares for the queue.
///
/// Any number of engines may work on one database, started and killed in any order. Nothing starts before ``run()``.
package final class JobEngine: Service {
    /// Session settings of the engine's connections: a plan made while the table was empty must not be a scan of it,
    /// and a LIMIT as a parameter must not make the server plan anew at each claim.
    package static let plannerSettings = [
        "enable_seqscan": "off", "enable_mergejoin": "off", "plan_cache_mode": "force_generic_plan", "jit": "off",
    ]

    let settings: EngineSettings
    let services: JobServices
    let queue: JobQueue
    let database: PostgresClient
    let listener: PostgresListener
    let logger: Logger
    let incarnation = UUID()
    let lease = WorkerLease()
    let running: RunningJobs
    let finished = FinishBuffer()
    let claimSignal = WakeSignal()
    let dueSignal = WakeSignal()
    let beatSignal = WakeSignal()
    let scheduleSignal = WakeSignal()
    let breaker: BreakerService
    let adaptive: AdaptiveConcurrency
    let limits = PostgresLimitStore()
    let runner: JobRunner
    let metrics: EngineMetrics
    let workers = PostgresWorkerStore()
    let state = Mutex(EngineState())

    var store: PostgresJobStore { queue.store }

    /// - Parameters:
    ///   - database: the engine's own pool, apart from the domain's so that neither starves the other: at least four
    ///     connections, with ``plannerSettings``.
    ///   - listener: listens to ``JobChannel``'s ready, cancel and breakers.
    ///   - metrics: where the engine's own measurements go.
    package init(
        settings: EngineSettings, services: JobServices, database: PostgresClient, listener: PostgresListener,
        logger: Logger, metrics: any MetricsFactory = MetricsSystem.factory
    ) {
        self.settings = settings
        self.metrics = EngineMetrics(factory: metrics)
        self.services = services
        self.queue = services.queue
        self.database = database
        self.listener = listener
        self.logger = logger
        running = RunningJobs(
            capacity: settings.concurrency, reservedCapacity: settings.reservedConcurrency, maxAhead: settings.maxAhead)
        let claimSignal = claimSignal
        breaker = BreakerService(
            database: database, worker: incarnation, policy: settings.breakerPolicy,
            probeLimit: settings.probeLimit, metrics: self.metrics, logger: logger, reopened: { claimSignal.ring() })
        adaptive = AdaptiveConcurrency(
            fleetLimit: settings.upstreamConcurrency, latencyTarget: settings.upstreamLatencyTarget)
        runner = JobRunner(
            catalog: queue.catalog, services: services, store: queue.store, breaker: breaker, adaptive: adaptive,
            lease: lease, running: running, logger: logger, random: { Double.random(in: 0..<1) })
    }

    /// Works until graceful shutdown: then claims no more, lets running jobs end, cancels what is left after the
    /// drain time, hands it back uncharged, and returns.
    package func run() async throws {
        try await queue.prepare()
        try await register()
        queue.wakeups.listenLocally { [weak self] news in
            guard let self else { return }
            if news.isDue { ringDue() }
            hear(news)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await self.loop("claim") { try await self.claimOnRing() } }
            group.addTask { await self.loop("finish") { try await self.flushOnRing() } }
            group.addTask { await self.loop("heartbeat") { try await self.beatOnTime() } }
            group.addTask { await self.loop("due") { try await self.promoteOnTime() } }
            group.addTask { await self.loop("schedules") { try await self.runSchedulesOnTime() } }
            group.addTask { await self.loop("families") { try await self.careForFamilies() } }
            group.addTask { await self.loop("breaker") { try await self.tickBreakers() } }
            group.addTask { await self.loop("sweep") { try await self.sweepOnTime() } }
            group.addTask { await self.loop("vacuum") { try await self.vacuumOnTime() } }
            group.addTask { await self.loop("deadlines") { try await self.enforceDeadlines() } }
            group.addTask { await self.hear() }
            group.addTask {
                // Thrown by cancellation only, which ends the wait as well.
                do { try await gracefulShutdown() } catch {}
                await self.drain()
            }
            // Only the drain ends by itself.
            try await group.next()
            group.cancelAll()
        }
        await signOff()
    }

    /// Repeats `turn` until cancelled; an error waits, is logged, and never ends the engine.
    private func loop(_ name: String, _ turn: @Sendable () async throws -> Void) async {
        var failures = 0
        let backoff = Backoff(initial: .milliseconds(100), cap: .seconds(5))
        while !Task.isCancelled {
            do {
                try await turn()
                failures = 0
            } catch {
                if Task.isCancelled { return }
                failures += 1
                logger.warning(
                    "engine loop failed", metadata: ["loop": "\(name)", "failures": "\(failures)", "error": "\(error)"])
                await WakeSignal().wait(atMost: backoff.ceiling(afterAttempt: failures))
            }
        }
    }

    /// Takes a row and a lease as a new incarnation, and learns which lanes to serve.
    func register() async throws {
        let names = store.names
        let served = settings.queues ?? queue.catalog.queues
        var lanes: [EngineState.Lane] = []
        for queueName in served {
            let queueId = try names.queueId(queueName)
            let isProtected = try await store.isProtected(queueId: queueId, in: database)
            let upstreams = Set(
                queue.catalog.handlers.values.filter { $0.queue == queueName }.map { $0.upstream?.code ?? 0 })
            for upstream in upstreams.sorted() {
                let kinds = queue.catalog.handlers.values.filter {
                    $0.queue == queueName && ($0.upstream?.code ?? 0) == upstream
                }
                lanes.append(
                    .init(
                        lane: JobLane(queueId: queueId, upstream: upstream), isReserved: isProtected,
                        kinds: try kinds.map { try names.kindId($0.name) }))
            }
        }
        // Protected lanes first: what is left goes to the others.
        lanes.sort {
            ($0.isReserved ? 0 : 1, $0.lane.queueId, $0.lane.upstream) < (
                $1.isReserved ? 0 : 1, $1.lane.queueId, $1.lane.upstream
            )
        }
        let registration = WorkerRegistration(
            incarnation: UUID(), name: settings.name, host: ProcessInfo.processInfo.hostName,
            pid: ProcessInfo.processInfo.processIdentifier, version: settings.version, queues: served,
            kinds: queue.catalog.names, capacity: Int32(settings.concurrency), lease: settings.lease)
        let sentAt = ContinuousClock.now
        let workerId = try await workers.register(registration, in: database)
        lease.begin(from: sentAt, by: settings.lease)
        state.withLock { state in
            state.workerId = workerId
            state.lanes = lanes
        }
        logger.info("worker registered", metadata: ["worker_id": "\(workerId)", "queues": "\(served)"])
        claimSignal.ring()
    }

    /// Passes wake-ups on to the loops.
    private func hear() async {
        for await event in listener.events() {
            switch event {
            case .mayHaveMissed:
                metrics.missedNotifications()
                state.withLock { $0.lookBack { _ in true } }
                claimSignal.ring()
                ringDue()
                beatSignal.ring()
                breaker.urgent.ring()
            case .notification(let channel, let payload):
                hear(channel, payload)
            }
        }
    }

    private func hear(_ channel: String, _ payload: String) {
        switch channel {
        case JobChannel.ready:
            let news = ReadyNews(payload)
            if news.isDue { ringDue() }
            hear(news)
        case JobChannel.cancel:
            if payload == String(state.withLock({ $0.workerId })) { beatSignal.ring() }
        case JobChannel.breakers: breaker.urgent.ring()
        default: break
        }
    }

    private func hear(_ news: ReadyNews) {
        let isServed = state.withLock { state in
            state.lookBack { news.again.contains($0) }
            return news.queues.contains { state.serves($0) }
        }
        if isServed { claimSignal.ring() }
    }

    private func drain() async {
        state.withLock { $0.isDraining = true }
        running.close()
        giveBackWaiting()
        do {
            let workerId = state.withLock { $0.workerId }
            try await workers.setState(.draining, workerId: workerId, in: database)
        } catch {
            logger.warning("the worker could not be shown as draining", metadata: ["error": "\(error)"])
        }
        await waitUntilIdle(atMost: settings.drain)
        if running.count > 0 {
            logger.notice("stopping jobs that did not end in time", metadata: ["count": "\(running.count)"])
            running.stopAll(reason: .shutdown)
            await waitUntilIdle(atMost: settings.hardStop)
        }
    }

    private func waitUntilIdle(atMost limit: Duration) async {
        let deadline = ContinuousClock.now + limit
        while running.count > 0, deadline > .now, !Task.isCancelled {
            await state.withLock({ $0.idleSignal }).wait(atMost: min(deadline - .now, .milliseconds(200)))
        }
    }

    /// The last write: what was not finished is rescued by others as soon as the row says so.
    private func signOff() async {
        running.stopAll(reason: .shutdown)
        let workerId = state.withLock { $0.workerId }
        do {
            // Not a child of a task that may be cancelled already: this write must still happen, within its own limits.
            try await Task { [database, workers] in
                while !self.finished.isEmpty { try await self.flush() }
                try await workers.setState(.stopped, workerId: workerId, in: database)
            }.value
        } catch {
            logger.warning("the worker could not sign off", metadata: ["error": "\(error)"])
        }
    }
}

/// What the engine's loops share.
struct EngineState: Sendable {
    struct Lane: Sendable {
        var lane: JobLane
        var isReserved: Bool
        /// The kinds this process knows in it.
        var kinds: [Int16] = []
        var position = ClaimPosition()
        /// Few jobs, and none may be overlooked.
        var beginsAtStart: Bool { isReserved }
    }

    var workerId: Int32 = 0
    var lanes: [Lane] = []
    var isDraining = false
    /// An operator wants it to claim no more, as of the last beat.
    var isResting = false
    /// Rings when a job has ended; for the drain.
    let idleSignal = WakeSignal()
    var lastTurn: ContinuousClock.Instant = .now
    /// How long until the next waiting job is due, as of the last look.
    var nextDue: Duration?
    /// The same for schedules.
    var nextSchedule: Duration? = .zero
    var lastPartitionCare: ContinuousClock.Instant?
    var hasSwept = false
    /// Whether a claim failed after which the database may hold jobs as ours that were never started here.
    var hasUncertainClaims = false
    /// Claims of probes, which run beside the claim loop: all so far, and those under way.
    var probeClaims = 0
    var openProbeClaims = 0
    /// Queues and kinds with limits, as of the last look.
    var limits = PostgresLimitStore.View()
    var limitsReadAt: ContinuousClock.Instant?
    /// Counts claims, for the share of old jobs in small ones.
    var claims = 0
    /// Which of the ordinary lanes comes first in the next round: with less room than lanes not all get some.
    var firstLane = 0
    /// How many rounds in turn found nothing and had not room for every lane.
    var vainRounds = 0
    /// How long the last vacuum took: a long one, under an old transaction that lets it achieve nothing, is rare.
    var vacuumTook: Duration = .zero

    /// Something may be ready that was passed already, in the queues for which `isAffected` says so.
    mutating func lookBack(_ isAffected: (Int16) -> Bool) {
        for index in lanes.indices where !lanes[index].beginsAtStart && isAffected(lanes[index].lane.queueId) {
            lanes[index].position.lookBack()
        }
    }

    func serves(_ queueId: Int16) -> Bool { lanes.contains { $0.lane.queueId == queueId } }
}
