package import Foundation
import Shared

/// Why a job is not running now: everything that stands in its way, the most telling first.
package struct JobExplanation: Codable, Sendable, Equatable {
    /// One thing that stands in the way.
    package struct Reason: Codable, Sendable, Equatable {
        /// A ``JobWaitReason/Code``.
        package var code: String
        /// One sentence for people.
        package var message: String
        /// When it may change, where that is known.
        package var until: Date?
        /// Who caused it, where that was somebody.
        package var by: String?
        /// The jobs it waits for; at most 100.
        package var jobIds: [JobNumber]
    }

    package var id: JobNumber
    package var kind: String
    package var queue: String
    package var state: JobState
    /// One sentence: the first reason, or that it runs or has ended.
    package var summary: String
    /// Empty for a job that runs or has ended.
    package var reasons: [Reason]
    /// Ready jobs that come before it in its queue, counted up to 10 000; nil unless it is ready itself.
    package var ahead: Int?
    /// Whether there are more than ``ahead`` says.
    package var aheadIsAtLeast: Bool
}

/// What is known about a live job that does not run, read in one go.
struct WaitFacts: Sendable {
    struct Limit: Sendable {
        var maxRunning: Int?
        var running = 0
        var rate: JobRate?
        var starts = 0
        var endsAt: Date?
        var by: String?

        var isReached: Bool {
            maxRunning.map { running >= $0 } ?? false || rate.map { starts >= $0.count } ?? false
        }
    }

    var kind: String
    var queue: String
    var upstream: String?
    var state: StoredState
    var runAt: Date
    var pausedBy: String?
    var isPaused = false
    var pauseReason: String?
    var breaker: BreakerPolicy.State?
    var retryAt: Date?
    var breakerReason: String?
    var breakerBy: String?
    var behind: [Int64] = []
    var waitsFor: [Int64] = []
    var children: [Int64] = []
    var hasWorker = true
    var knowsKind = true
    var queueLimit: Limit?
    var kindLimit: Limit?
    /// Jobs of its class that run, and how many the workers allow together.
    var upstreamRunning = 0
    var upstreamAllowed: Int?

    /// Everything that stands in the way, the most telling first; never empty.
    var reasons: [JobWaitReason] {
        var reasons = ownReasons
        if isPaused {
            let why = pauseReason.map { ": \($0)" } ?? ""
            reasons.append(
                JobWaitReason(code: .queuePaused, message: "The queue \(queue) is paused\(why).", by: pausedBy))
        }
        reasons += breakerReasons
        reasons += limitReasons(queueLimit, "the queue \(queue)")
        reasons += limitReasons(kindLimit, "the kind \(kind)")
        if !hasWorker {
            reasons.append(
                JobWaitReason(code: .noWorker, message: "No worker serves the queue \(queue) now."))
        } else if !knowsKind {
            reasons.append(
                JobWaitReason(code: .unknownKind, message: "No running worker knows the kind \(kind)."))
        }
        if let allowed = upstreamAllowed, hasWorker, upstreamRunning >= allowed, let upstream {
            reasons.append(
                JobWaitReason(
                    code: .upstreamBusy,
                    message: "\(upstreamRunning) jobs use \(upstream), as many as the workers let at once now."))
        }
        if reasons.isEmpty {
            reasons.append(
                JobWaitReason(code: .soon, message: "A worker takes it as soon as it has a free slot."))
        }
        return reasons
    }

    private var ownReasons: [JobWaitReason] {
        switch state {
        case .scheduled, .waitingAgain:
            [JobWaitReason(code: .dueLater, message: "It is due later.", until: runAt)]
        case .blocked:
            [
                JobWaitReason(
                    code: .behindJob, message: "Another job on the same object comes first.", jobIds: behind)
            ]
        case .waitingForJobs:
            [
                JobWaitReason(
                    code: .waitingForJobs, message: "It waits for other jobs to succeed.", jobIds: waitsFor)
            ]
        case .waitingForChildren:
            [
                JobWaitReason(
                    code: .waitingForChildren, message: "It waits for the jobs it is made of to end.",
                    jobIds: children)
            ]
        case .parked where !(kindLimit?.isReached ?? false):
            [JobWaitReason(code: .atLimit, message: "It was put aside by a limit on the kind \(kind).")]
        default: []
        }
    }

    private var breakerReasons: [JobWaitReason] {
        guard let breaker, let upstream else { return [] }
        if breaker == .ramping {
            return [
                JobWaitReason(
                    code: .atLimit, message: "\(upstream) recovers and takes few calls at a time.", by: breakerBy)
            ]
        }
        guard !breaker.admits else { return [] }
        let why = breakerReason.map { ": \($0)" } ?? ""
        return [
            JobWaitReason(
                code: .breakerOpen, message: "The breaker of \(upstream) is open\(why).", until: retryAt,
                by: breaker == .forcedOpen ? breakerBy : nil)
        ]
    }

    private func limitReasons(_ limit: Limit?, _ what: String) -> [JobWaitReason] {
        guard let limit, limit.isReached else { return [] }
        if let maxRunning = limit.maxRunning, limit.running >= maxRunning {
            return [
                JobWaitReason(
                    code: .atLimit,
                    message: "\(limit.running) jobs of \(what) run, of at most \(maxRunning) at once.", by: limit.by)
            ]
        }
        guard let rate = limit.rate else { return [] }
        return [
            JobWaitReason(
                code: .atLimit,
                message: "\(limit.starts) jobs of \(what) have started, of at most \(rate.count) in \(rate.seconds) s.",
                until: limit.endsAt, by: limit.by)
        ]
    }
}

extension JobQueue {
    /// Why a job is not running now, and how many come before it.
    ///
    /// - Throws: ``JobQueueError/notFound(_:)``.
    package func explain(id: Int64) async throws -> JobExplanation {
        guard let job = try await store.snapshot(jobId: id, in: database) else { throw JobQueueError.notFound(id) }
        let reasons = try await store.waitReasons(of: job, in: database)
        var explanation = JobExplanation(
            id: JobNumber(id), kind: job.kind, queue: job.queue, state: job.state,
            summary: reasons.first?.message ?? Self.summary(of: job),
            reasons: reasons.map {
                JobExplanation.Reason(
                    code: $0.code.rawValue, message: $0.message, until: $0.until, by: $0.by,
                    jobIds: $0.jobIds.map(JobNumber.init))
            }, ahead: nil, aheadIsAtLeast: false)
        if job.state == .ready {
            let limit = 10_000
            let ahead = try await store.countAhead(of: id, limit: limit + 1, in: database)
            explanation.ahead = min(ahead, limit)
            explanation.aheadIsAtLeast = ahead > limit
        }
        return explanation
    }

    private static func summary(of job: JobSnapshot) -> String {
        switch job.state {
        case .running: "It runs now, in attempt \(job.attempt)."
        case .succeeded: "It has succeeded."
        case .failed: "It has failed: \(job.error?.message ?? "without a message")"
        case .cancelled: "It was cancelled\(job.endedBy.map { " by \($0)" } ?? "")."
        case .scheduled, .ready, .retrying, .blocked: "It changed its state just now; ask again."
        }
    }
}
