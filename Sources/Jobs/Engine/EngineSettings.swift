import Foundation
import Shared

/// How one worker process works.
package struct EngineSettings: Sendable {
    /// For people: shown in the list of workers.
    package var name: String = ProcessInfo.processInfo.hostName
    package var version: String = "dev"
    /// Queues to serve; nil for all that the catalogue uses.
    package var queues: [String]?
    /// Jobs at once.
    package var concurrency = 64
    /// Further slots only for protected queues (revocations), so that no flood can hold them up.
    package var reservedConcurrency = 4
    /// How long the database believes this worker without a heartbeat.
    package var lease: Duration = .seconds(45)
    /// At most a third of the lease.
    package var heartbeat: Duration = .seconds(5)
    /// The longest wait for work nobody announced.
    package var poll: Duration = .seconds(1)
    /// How long running jobs may go on after a request to stop, before they are cancelled and handed back.
    package var drain: Duration = .seconds(20)
    /// How long cancelled jobs have to return.
    package var hardStop: Duration = .seconds(5)
    /// How often lost workers, blocked objects and late cancellations are looked for.
    package var sweep: Duration = .seconds(5)
    package var maxClaim = 500
    /// The most short jobs that are claimed ahead of their time, by the pace of the last ones; 0 for none.
    package var maxAhead = 1000
    /// None of them may have waited longer than this for a runner: then they are given back.
    var maxAheadWait: Duration = .seconds(1)
    /// How often the live table is looked at whether to vacuum it; the server itself looks once a minute.
    var vacuumInterval: Duration = .seconds(5)
    /// Dead rows that are worth it.
    var vacuumThreshold: Int64 = 50_000
    package var maxFlush = 1000
    /// How long one probe of an open breaker may take in all.
    package var probeLimit: Duration = .seconds(35)
    /// Jobs of one upstream class at once, all workers together.
    package var upstreamConcurrency = 128
    /// Upstream calls that take longer count as overload.
    package var upstreamLatencyTarget: Duration = .seconds(5)
    /// Jobs that have been due for so long get a share of each claim, whatever their priority.
    package var agedAfter: Duration = .seconds(30)
    var breakerPolicy = BreakerPolicy()
    /// What schedules take for the time: the database's, which tests move.
    var scheduleClock: PostgresFragment = "now()"

    package init() {}
}
