import Shared
import Synchronization

/// Why a running job is told to stop.
enum StopReason: Sendable, Equatable {
    case timeout
    /// The job's own deadline came before the attempt's time was over.
    case deadline
    case cancelled(by: String?)
    case shutdown
    case leaseLost
}

/// One attempt at a job. A job that was put back may be claimed here again before its last attempt is booked out.
struct AttemptId: Hashable, Sendable {
    var id: Int64
    var token: Int64
}

/// The jobs this worker holds: waiting for a runner, running, or ended but not written down yet. A runner is a task
/// that carries out one job after the other, so that short jobs do not pay for a task each; one that was told to stop
/// ends with its job, since a cancelled task stays cancelled.
final class RunningJobs: Sendable {
    /// A claimed job with what the engine needs to begin it.
    struct Held: Sendable {
        var job: ClaimedJob
        var timeout: Duration
        var since: ContinuousClock.Instant = .now
    }
    /// What a runner is to carry out; a job that was told to stop while it waited never begins.
    struct Turn: Sendable {
        var job: ClaimedJob
        var stop: StopReason?
    }
    private struct Entry {
        var isReserved: Bool
        var upstream: Int16
        /// Nil while it waits.
        var runner: Int?
        var deadline: ContinuousClock.Instant
        /// Whether the deadline is the job's, not the attempt's.
        var isFinal = false
        /// The job's own deadline.
        let end: ContinuousClock.Instant?
        var stop: StopReason?
        var isFinishing = false

        init(_ held: Held, isReserved: Bool, runner: Int?, now: ContinuousClock.Instant) {
            self.isReserved = isReserved
            upstream = held.job.upstream
            self.runner = runner
            end = held.job.untilDeadline.map { now + $0 }
            deadline = now
            time(held.timeout, now: now)
        }

        /// The attempt's time begins, on a runner. Returns why it is not to begin: it was told to stop, or waited past
        /// its deadline.
        mutating func begin(_ timeout: Duration, on runner: Int, now: ContinuousClock.Instant) -> StopReason? {
            self.runner = runner
            time(timeout, now: now)
            if stop == nil, let end, end <= now { stop = .deadline }
            isFinishing = stop != nil
            return stop
        }

        private mutating func time(_ timeout: Duration, now: ContinuousClock.Instant) {
            isFinal = end.map { $0 < now + timeout } ?? false
            deadline = min(now + timeout, end ?? now + timeout)
        }

        /// Too late to stop it. Returns why it was told to, if it was.
        mutating func finish() -> StopReason? {
            isFinishing = true
            return stop
        }
    }
    private struct Runner {
        var task: Task<Void, Never>?
        var attempt: AttemptId?
        /// Has one job only and takes no ordinary slot.
        var isApart: Bool
    }
    private struct State {
        var entries: [AttemptId: Entry] = [:]
        var reserved = 0
        var byUpstream: [Int16: Int] = [:]
        var waiting: [Held] = []
        /// Where the first one that waits stands.
        var waitingStart = 0
        var runners: [Int: Runner] = [:]
        var lastRunner = 0
        var ordinaryRunners = 0
        var pace = JobPace()
        /// No job that waits begins any more.
        var isClosed = false

        var waitingCount: Int { waiting.count - waitingStart }

        mutating func enter(_ held: Held, isReserved: Bool, runner: Int?, now: ContinuousClock.Instant) {
            entries[held.job.attemptId] = Entry(held, isReserved: isReserved, runner: runner, now: now)
            if isReserved { reserved += 1 }
            byUpstream[held.job.upstream, default: 0] += 1
        }

        mutating func popWaiting() -> Held? {
            guard waitingStart < waiting.count else { return nil }
            let first = waiting[waitingStart]
            waitingStart += 1
            if waitingStart == waiting.count {
                waiting.removeAll(keepingCapacity: true)
                waitingStart = 0
            }
            return first
        }

        mutating func newRunner(_ attempt: AttemptId?) -> Int {
            lastRunner += 1
            runners[lastRunner] = Runner(task: nil, attempt: attempt, isApart: attempt != nil)
            if attempt == nil { ordinaryRunners += 1 }
            return lastRunner
        }

        mutating func retire(_ runner: Int) {
            guard let gone = runners.removeValue(forKey: runner) else { return }
            if !gone.isApart { ordinaryRunners -= 1 }
        }
    }
    private let state = Mutex(State())
    /// Slots of ordinary jobs.
    let capacity: Int
    /// Further slots that only protected queues (revocations) may use.
    let reservedCapacity: Int
    /// The most jobs that wait here for a runner.
    private let maxAhead: Int

    init(capacity: Int, reservedCapacity: Int, maxAhead: Int) {
        self.capacity = capacity
        self.reservedCapacity = reservedCapacity
        self.maxAhead = maxAhead
    }

    var count: Int { state.withLock { $0.entries.count } }

    /// How many of them use one upstream class.
    func count(upstream: Int16) -> Int { state.withLock { $0.byUpstream[upstream] ?? 0 } }

    // MARK: Room

    /// How many more jobs may be claimed that begin at once.
    func free(isReserved: Bool) -> Int {
        state.withLock { state in
            let ordinary = state.entries.count - state.reserved
            if isReserved {
                return max(0, capacity + reservedCapacity - state.reserved - min(ordinary, capacity))
            }
            return max(0, slots(state) - ordinary)
        }
    }

    /// How many more jobs may be claimed, those included that wait here for a moment: as many as end within it, by the
    /// pace of the last ones. Zero while enough wait already, so that claims stay large.
    func freeAhead() -> Int {
        state.withLock { state in
            let depth = min(maxAhead, state.pace.jobsWithinHorizon(slots: capacity))
            let room = slots(state) + depth - (state.entries.count - state.reserved)
            guard room > 0, state.waitingCount == 0 || room >= depth / 2 else { return 0 }
            return room
        }
    }

    /// Protected jobs may take ordinary slots too.
    private func slots(_ state: borrowing State) -> Int {
        min(capacity, capacity + reservedCapacity - state.reserved)
    }

    // MARK: Runners

    /// Takes claimed jobs in and names the new runners that are to be started for them.
    func hold(_ jobs: [Held]) -> [Int] {
        let now = ContinuousClock.now
        return state.withLock { state in
            for held in jobs { state.enter(held, isReserved: false, runner: nil, now: now) }
            state.waiting.append(contentsOf: jobs)
            return newRunners(&state)
        }
    }

    /// Names the runners that are missing for what waits.
    func missingRunners() -> [Int] { state.withLock { newRunners(&$0) } }

    private func newRunners(_ state: inout State) -> [Int] {
        let count = min(state.waitingCount, slots(state) - state.ordinaryRunners)
        guard count > 0, !state.isClosed else { return [] }
        return (0..<count).map { _ in state.newRunner(nil) }
    }

    /// Takes a job in that has a runner of its own, whatever the others do: protected work, probes.
    func holdApart(_ held: Held, isReserved: Bool) -> Int {
        state.withLock { state in
            let runner = state.newRunner(held.job.attemptId)
            state.enter(held, isReserved: isReserved, runner: runner, now: .now)
            return runner
        }
    }

    /// Takes jobs in that go back unbegun: held until that is written, so that nobody here takes them for forgotten.
    func holdEnded(_ jobs: [Held], isReserved: Bool) {
        let now = ContinuousClock.now
        state.withLock { state in
            for held in jobs {
                state.enter(held, isReserved: isReserved, runner: nil, now: now)
                state.entries[held.job.attemptId]?.isFinishing = true
            }
        }
    }

    /// Hands a runner's task over; if its job was told to stop meanwhile it is cancelled at once.
    func attach(_ task: Task<Void, Never>, to runner: Int) {
        let isStopped = state.withLock { state in
            guard state.runners[runner] != nil else { return false }
            state.runners[runner]?.task = task
            guard let id = state.runners[runner]?.attempt, let entry = state.entries[id] else { return false }
            return entry.runner == runner && entry.stop != nil
        }
        if isStopped { task.cancel() }
    }

    /// The runner's next job; nil ends the runner. A spent one was told to stop and takes no more.
    func next(for runner: Int, isSpent: Bool) -> Turn? {
        let now = ContinuousClock.now
        return state.withLock { state in
            guard !isSpent, !state.isClosed, let held = state.popWaiting() else {
                state.retire(runner)
                return nil
            }
            let id = held.job.attemptId
            state.runners[runner]?.attempt = id
            return Turn(job: held.job, stop: state.entries[id]?.begin(held.timeout, on: runner, now: now))
        }
    }

    /// Ends a runner.
    func retire(_ runner: Int) { state.withLock { $0.retire(runner) } }

    /// From now on no job begins; what waits, or comes in still, is for ``takeWaiting(ifStuckFor:)``.
    func close() { state.withLock { $0.isClosed = true } }

    /// Gives up what has not begun: all of it, or only if the first has waited for so long, because the jobs before it
    /// take longer than expected and another worker may have room.
    func takeWaiting(ifStuckFor limit: Duration? = nil) -> [ClaimedJob] {
        state.withLock { state in
            if let limit {
                guard state.waitingCount > 0, .now - state.waiting[state.waitingStart].since >= limit else { return [] }
            }
            var taken: [ClaimedJob] = []
            while let held = state.popWaiting() { taken.append(held.job) }
            for job in taken { state.entries[job.attemptId]?.isFinishing = true }
            if let limit, !taken.isEmpty { state.pace.stalled(for: limit) }
            return taken
        }
    }

    // MARK: Ends

    /// The handler has returned after so long; from now on it is too late to stop it. Returns why it was told to stop,
    /// if it was.
    func finishing(_ id: AttemptId, took: Duration) -> StopReason? {
        state.withLock { state in
            state.pace.note(took)
            return state.entries[id]?.finish()
        }
    }

    func end(_ ids: some Sequence<AttemptId>) {
        state.withLock { state in
            for id in ids {
                guard let entry = state.entries.removeValue(forKey: id) else { continue }
                if entry.isReserved { state.reserved -= 1 }
                state.byUpstream[entry.upstream, default: 1] -= 1
            }
        }
    }

    /// Whether this attempt has been begun and not booked out.
    func holds(_ id: AttemptId) -> Bool { state.withLock { $0.entries[id] != nil } }

    /// The attempts begun and not booked out.
    var held: Set<AttemptId> { state.withLock { Set($0.entries.keys) } }

    /// Tells one job to stop, if this attempt still runs.
    func stop(_ id: AttemptId, reason: StopReason) {
        let task = state.withLock { state -> Task<Void, Never>? in
            guard let entry = state.entries[id], !entry.isFinishing, entry.stop == nil else {
                return nil
            }
            state.entries[id]?.stop = reason
            // The runner may be at its next job already.
            guard let runner = entry.runner.flatMap({ state.runners[$0] }), runner.attempt == id else { return nil }
            return runner.task
        }
        task?.cancel()
    }

    func stopAll(reason: StopReason) {
        for id in held { stop(id, reason: reason) }
    }

    /// Stops what has run past its time. Returns the jobs that ignored being stopped for `grace`.
    func enforceDeadlines(grace: Duration) -> [Int64] {
        let now = ContinuousClock.now
        let (late, stuck) = state.withLock { state in
            let unfinished = state.entries.filter { !$0.value.isFinishing && $0.value.runner != nil }
            return (
                unfinished.filter { $0.value.deadline <= now && $0.value.stop == nil },
                unfinished.filter { $0.value.stop != nil && $0.value.deadline + grace <= now }
            )
        }
        for (id, entry) in late { stop(id, reason: entry.isFinal ? .deadline : .timeout) }
        return stuck.map(\.key.id)
    }
}

extension RunningJobs {
    /// Lets a job's time be over now; for tests.
    func expire(_ id: Int64) {
        state.withLock { state in
            for key in state.entries.keys where key.id == id { state.entries[key]?.deadline = .now }
        }
    }
}
