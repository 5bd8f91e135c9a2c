@testable import Jobs

/// What the queue promises, written down as plainly as possible: the judge of the engine in the randomised test.
struct ReferenceModel {
    struct Job: Equatable {
        var state: StoredState
        var token: Int64 = 0
        var attempt = 0
        var errors = 0
        var maxAttempts: Int
        var order: String?
        var unique: String?
        var queue: String
        var worker: Int32?
        var cancelRequested = false
        /// Rows among the attempts that did not succeed.
        var notes = 0
        /// Whether a person or the clock has made it due.
        var isDue = false
    }

    /// How an attempt came out, before anybody has asked whether it may be written.
    enum Outcome {
        case succeeded
        case again(charged: Bool, ready: Bool)
        case failed
        case cancelled
        case lost
    }

    var jobs: [Int64: Job] = [:]
    var pausedQueues: Set<String> = []
    /// Workers whose rows stand for them; others' jobs are anybody's.
    var liveWorkers: Set<Int32> = []
    /// Of these, the ones whose lease is over on the database's clock.
    var expiredWorkers: Set<Int32> = []

    static let live: Set<StoredState> = [.ready, .running, .scheduled, .waitingAgain, .blocked]

    func ids(_ states: Set<StoredState>) -> [Int64] {
        jobs.filter { states.contains($0.value.state) }.keys.sorted()
    }

    private func holder(of order: String) -> Int64? {
        jobs.first { $0.value.order == order && [.ready, .running, .waitingAgain].contains($0.value.state) }?.key
    }

    func heir(of unique: String, besides id: Int64? = nil) -> Int64? {
        jobs.first {
            $0.value.unique == unique && $0.key != id && $0.value.state != .running
                && Self.live.contains($0.value.state)
        }?.key
    }

    private mutating func handOver(_ order: String?) {
        guard let order, holder(of: order) == nil,
            let next = jobs.filter({ $0.value.order == order && $0.value.state == .blocked }).keys.min()
        else { return }
        jobs[next]?.state = .ready
    }

    private mutating func end(_ id: Int64, _ state: StoredState) {
        jobs[id]?.state = state
        jobs[id]?.cancelRequested = false
        handOver(jobs[id]?.order)
    }

    // MARK: People

    enum Enqueued: Equatable {
        case coalesced(Int64)
        case new(StoredState)
    }

    /// What has to come of an enqueue.
    func expectation(order: String?, unique: String?, isFuture: Bool) -> Enqueued {
        if let unique, let heir = heir(of: unique) { return .coalesced(heir) }
        if isFuture { return .new(.scheduled) }
        if let order, holder(of: order) != nil { return .new(.blocked) }
        return .new(.ready)
    }

    mutating func coalesce(into id: Int64, isFuture: Bool) {
        if !isFuture { jobs[id]?.isDue = true }
    }

    /// A newer job takes the place of all that wait on its object, and wants what runs there to stop.
    mutating func supersede(_ order: String) {
        for (id, job) in jobs where job.order == order && Self.live.contains(job.state) {
            if job.state == .running {
                jobs[id]?.cancelRequested = true
            } else {
                jobs[id]?.state = .cancelled
            }
        }
    }

    mutating func cancel(_ id: Int64) {
        if jobs[id]?.state == .running { jobs[id]?.cancelRequested = true } else { end(id, .cancelled) }
    }

    /// Returns false when another job holds its unique key.
    mutating func retry(_ id: Int64) -> Bool {
        guard let job = jobs[id] else { return false }
        if job.state != .failed {
            jobs[id]?.isDue = true
            return true
        }
        if let unique = job.unique, heir(of: unique, besides: id) != nil { return false }
        jobs[id]?.maxAttempts = min(32_767, job.attempt + max(1, job.maxAttempts - job.attempt + job.errors))
        let isFree = job.order.flatMap { holder(of: $0) } == nil
        jobs[id]?.state = isFree ? .ready : .blocked
        return true
    }

    // MARK: Workers

    func mayBeClaimed(_ id: Int64) -> Bool {
        jobs[id].map { $0.state == .ready && !pausedQueues.contains($0.queue) } ?? false
    }

    mutating func claim(_ id: Int64, by worker: Int32) {
        jobs[id]?.state = .running
        jobs[id]?.token += 1
        jobs[id]?.attempt += 1
        jobs[id]?.worker = worker
    }

    func owns(_ attempt: AttemptId) -> Bool {
        jobs[attempt.id].map { $0.state == .running && $0.token == attempt.token } ?? false
    }

    /// Writes an outcome of an attempt that owns its job; those of others change nothing.
    /// Of several that want to go back under one unique key, the first may.
    mutating func finish(_ attempt: AttemptId, _ outcome: Outcome) {
        guard owns(attempt), let job = jobs[attempt.id] else { return }
        switch outcome {
        case .lost: return
        case .succeeded: end(attempt.id, .succeeded)
        case .cancelled: end(attempt.id, .cancelled)
        case .failed:
            jobs[attempt.id]?.errors += 1
            jobs[attempt.id]?.notes += 1
            end(attempt.id, .failed)
        case .again(let charged, let ready):
            putBack(attempt.id, job, charged: charged, ready: ready)
        }
    }

    private mutating func putBack(_ id: Int64, _ job: Job, charged: Bool, ready: Bool) {
        if charged { jobs[id]?.notes += 1 }
        // One that is to be cancelled gives its key up, so that nobody's work ends with it.
        if !job.cancelRequested, let unique = job.unique, heir(of: unique, besides: id) != nil {
            return end(id, .cancelled)
        }
        jobs[id]?.state = ready ? .ready : .waitingAgain
        jobs[id]?.isDue = false
        if charged { jobs[id]?.errors += 1 } else { jobs[id]?.attempt -= 1 }
        if job.cancelRequested { end(id, .cancelled) }
    }

    // MARK: Care

    /// Everything that is due goes on.
    mutating func promote() {
        let due = jobs.filter { $0.value.isDue && [.scheduled, .waitingAgain].contains($0.value.state) }
        for (id, job) in due {
            jobs[id]?.isDue = false
            jobs[id]?.state = job.state == .scheduled && job.order != nil ? .blocked : .ready
        }
        for order in Set(due.values.compactMap(\.order)) { handOver(order) }
    }

    /// The jobs of workers that are gone, oldest first.
    mutating func orphans() -> [Int64] {
        liveWorkers.subtract(expiredWorkers)
        expiredWorkers = []
        return jobs.filter { job in
            job.value.state == .running && !(job.value.worker.map(liveWorkers.contains) ?? false)
        }.keys.sorted()
    }

    mutating func rescue(_ id: Int64) {
        guard let job = jobs[id] else { return }
        let outcome: Outcome = job.attempt >= job.maxAttempts ? .failed : .again(charged: true, ready: false)
        finish(AttemptId(id: id, token: job.token), outcome)
    }
}
