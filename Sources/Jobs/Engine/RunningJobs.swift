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

/// The jobs this worker holds. A slot is free again once the end of its job has been written down.
final class RunningJobs: Sendable {
    private struct Entry {
        var isReserved: Bool
        var upstream: Int16
        var task: Task<Void, Never>?
        var deadline: ContinuousClock.Instant
        /// Whether the deadline is the job's, not the attempt's.
        var isFinal: Bool
        var stop: StopReason?
        var isFinishing = false
    }
    private struct State {
        var entries: [AttemptId: Entry] = [:]
        var reserved = 0
        var byUpstream: [Int16: Int] = [:]
    }
    private let state = Mutex(State())
    /// Slots of ordinary jobs.
    let capacity: Int
    /// Further slots that only protected queues (revocations) may use.
    let reservedCapacity: Int

    init(capacity: Int, reservedCapacity: Int) {
        self.capacity = capacity
        self.reservedCapacity = reservedCapacity
    }

    var count: Int { state.withLock { $0.entries.count } }

    /// How many of them use one upstream class.
    func count(upstream: Int16) -> Int { state.withLock { $0.byUpstream[upstream] ?? 0 } }

    /// How many more jobs may be claimed.
    func free(isReserved: Bool) -> Int {
        state.withLock { state in
            let all = capacity + reservedCapacity - state.entries.count
            if isReserved { return max(0, all) }
            return max(0, min(all, capacity - (state.entries.count - state.reserved)))
        }
    }

    func begin(_ job: ClaimedJob, isReserved: Bool, timeout: Duration) {
        state.withLock { state in
            let left = job.untilDeadline ?? timeout
            state.entries[job.attemptId] = Entry(
                isReserved: isReserved, upstream: job.upstream, task: nil, deadline: .now + min(timeout, left),
                isFinal: left < timeout, stop: nil)
            if isReserved { state.reserved += 1 }
            state.byUpstream[job.upstream, default: 0] += 1
        }
    }

    /// Hands the job's task over; one that was told to stop meanwhile is cancelled at once.
    func attach(_ task: Task<Void, Never>, to id: AttemptId) {
        let isStopped = state.withLock { state in
            state.entries[id]?.task = task
            return state.entries[id]?.stop != nil
        }
        if isStopped { task.cancel() }
    }

    /// The handler has returned; from now on it is too late to stop it. Returns why it was told to stop, if it was.
    func finishing(_ id: AttemptId) -> StopReason? {
        state.withLock { state in
            state.entries[id]?.isFinishing = true
            return state.entries[id]?.stop
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
            return entry.task
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
            (
                state.entries.filter { $0.value.deadline <= now && $0.value.stop == nil && !$0.value.isFinishing },
                state.entries.filter {
                    $0.value.stop != nil && !$0.value.isFinishing && $0.value.deadline + grace <= now
                }
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
