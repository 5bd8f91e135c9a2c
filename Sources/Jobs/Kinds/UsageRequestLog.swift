package import Foundation
package import Shared

/// Takes single calls over from LiteLLM's spend log, window by window from where the last run ended. Each call is stored
/// under its own id, so that one that is read again is the same row.
package struct UsageRequestLog: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// Calls that were not known.
        package var added: Int
        /// Until when the log was taken over.
        package var takenUntil: Date
        /// Whether that is now; else the next run goes on.
        package var isCaughtUp: Bool
    }

    /// How far back the first run begins.
    private static let beginning: Duration = .seconds(24 * 3600)
    /// LiteLLM writes what was spent in batches: a call appears later than it began, a long one much later.
    private static let overlap: TimeInterval = 15 * 60
    /// The longest window, and the shortest one that a busy window is cut to.
    private static let window: TimeInterval = 6 * 3600
    private static let shortest: TimeInterval = 60
    /// Pages of one window, and of one run.
    private static let pagesOfWindow = 20
    private static let pagesOfRun = 500

    package static let name = "usage.requestLog"
    package static let queue = "usage"
    package static let upstream: Upstream? = .litellmUsage
    package static let timeout: Duration = .seconds(900)
    package static let isProbeSafe = true

    package init() {}

    package var orderKey: String? { Self.name }
    package var uniqueKey: String? { Self.name }

    package func run(in context: JobContext) async throws -> Output {
        guard context.services.settings.keepsRequestLog else {
            throw JobFailure.permanent(
                code: "request_log_off",
                message: "USAGE_REQUEST_LOG is not true for this worker; set it, or disable the schedule.")
        }
        let state = try await PostgresUsageLogStore().takenUntil(
            beginning: Self.beginning, in: context.services.database)
        var run = Run(takenUntil: state.takenUntil, now: state.now)
        while run.takenUntil < run.now, run.pages < Self.pagesOfRun {
            try await takeWindow(&run, context)
        }
        return Output(added: run.added, takenUntil: run.takenUntil, isCaughtUp: run.takenUntil >= run.now)
    }

    private struct Run {
        var takenUntil: Date
        let now: Date
        var window = UsageRequestLog.window
        /// Whether no window is done.
        var isFirst = true
        var pages = 0
        var added = 0
    }

    /// One window, from a while before where the last one ended.
    private func takeWindow(_ run: inout Run, _ context: JobContext) async throws {
        let log = PostgresUsageLogStore()
        let end = min(run.takenUntil + run.window, run.now)
        let start = run.isFirst ? run.takenUntil - Self.overlap : run.takenUntil
        var number = 1
        while true {
            // LiteLLM compares whole seconds: the last one is asked for as a whole.
            let page = try await context.litellm.spendLogs(from: start, to: end + 1, page: number)
            run.pages += 1
            if number == 1, page.isCapped || page.totalPages > Self.pagesOfWindow, run.window > Self.shortest {
                run.window = max(run.window / 4, Self.shortest)
                return
            }
            let isLast = page.entries.isEmpty || (number >= page.totalPages && !page.isCapped)
            run.added += try await context.transaction { transaction in
                let added = try await log.store(page.entries, in: transaction)
                // With the last page: a run that dies before begins the window anew.
                if isLast { try await log.note(takenUntil: end, in: transaction) }
                return added
            }
            if isLast { break }
            number += 1
        }
        run.takenUntil = end
        run.isFirst = false
        run.window = min(run.window * 2, Self.window)
        try await context.progress(0, "The log was taken over until \(ISO8601.string(from: end)).")
    }
}
