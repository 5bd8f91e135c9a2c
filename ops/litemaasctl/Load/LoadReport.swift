import Shared

/// What came of a load, for people and as JSON. Times are in milliseconds unless their name says otherwise.
struct LoadReport: Encodable {
    struct Latency: Encodable {
        var count = 0
        var p50 = 0.0
        var p95 = 0.0
        var p99 = 0.0
        var max = 0.0

        init(_ durations: [Duration]) {
            let sorted = durations.map { $0.inSeconds * 1000 }.sorted()
            count = sorted.count
            p50 = Self.quantile(0.5, of: sorted)
            p95 = Self.quantile(0.95, of: sorted)
            p99 = Self.quantile(0.99, of: sorted)
            max = Self.quantile(1, of: sorted)
        }

        /// The smallest value that at least this part of the values does not exceed.
        private static func quantile(_ part: Double, of sorted: [Double]) -> Double {
            guard !sorted.isEmpty else { return 0 }
            let rank = Swift.max(1, (part * Double(sorted.count)).rounded(.up))
            return (sorted[Int(rank) - 1] * 100).rounded() / 100
        }
    }

    /// What the first jobs and requests that went wrong say.
    private static let mostProblems = 10

    var intents: Int
    var accepted: Int
    /// Requests that had to be made again before they were accepted.
    var repeated: Int
    /// Of the requests that were accepted.
    var post: Latency
    /// How many jobs were last seen in each state; nil when they were not followed.
    var states: [String: Int]?
    /// How many jobs were last seen at each attempt.
    var attempts: [String: Int]?
    /// Attempts that did not succeed, by code.
    var errors: [String: Int]?
    var submittingSeconds: Double
    var followingSeconds: Double
    var problems: [String]

    var isGood: Bool { accepted == intents && (states.map { $0 == ["succeeded": intents] } ?? true) }

    init(_ all: [KeyLoad.Intent], isFollowed: Bool, submitting: Duration, following: Duration) {
        intents = all.count
        let good = all.filter { $0.jobId != nil }
        accepted = good.count
        repeated = good.filter { $0.tries > 1 }.count
        post = Latency(good.map(\.took))
        submittingSeconds = (submitting.inSeconds * 10).rounded() / 10
        followingSeconds = (following.inSeconds * 10).rounded() / 10
        problems = all.filter { $0.jobId == nil }.map { "not accepted: \($0.refusal ?? "not asked for")" }
        if isFollowed {
            let jobs = good.map(\.job)
            states = Self.counted(jobs.map { $0?.state ?? "not_seen" })
            attempts = Self.counted(jobs.compactMap { $0.map { String($0.attempt) } })
            errors = Self.counted(jobs.flatMap { $0?.errors ?? [] })
            problems += good.filter { $0.job?.state != "succeeded" }.map { intent in
                let job = intent.job
                return "job \(intent.jobId ?? "") is \(job?.state ?? "not seen") at attempt \(job?.attempt ?? 0)"
                    + (job?.errors.last.map { " (\($0))" } ?? "")
            }
        }
        problems = Array(problems.prefix(Self.mostProblems))
    }

    private static func counted(_ values: [String]) -> [String: Int] {
        values.reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    var text: String {
        var lines = [
            "accepted   \(accepted) of \(intents) in \(submittingSeconds) s"
                + (repeated > 0 ? ", \(repeated) of them not at the first request" : ""),
            "POST       p50 \(post.p50) ms, p95 \(post.p95) ms, p99 \(post.p99) ms, max \(post.max) ms",
        ]
        if let states { lines.append("jobs       \(Self.listed(states)) after another \(followingSeconds) s") }
        if let attempts { lines.append("attempts   \(Self.listed(attempts))") }
        if let errors, !errors.isEmpty { lines.append("errors     \(Self.listed(errors))") }
        return (lines + problems.map { "problem    \($0)" }).joined(separator: "\n")
    }

    private static func listed(_ counts: [String: Int]) -> String {
        counts.sorted { (Int($0.key) ?? 0, $0.key) < (Int($1.key) ?? 0, $1.key) }
            .map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    }
}
