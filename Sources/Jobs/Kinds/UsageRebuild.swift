package import Shared

/// Takes a range of days over anew, final ones included: for usage that LiteLLM has corrected, and for keys that became
/// known after their usage. Each day is a child and is replaced as a whole; what failed stays as it was.
package struct UsageRebuild: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// Days that were replaced.
        package var rebuiltDays: Int
        /// Parts by key, model and provider of all of them.
        package var totalEntries: Int
        /// Days that were not.
        package var failedDays: [UTCDay]
    }

    /// The longest range.
    package static let longest = 366

    package static let name = "usage.rebuild"
    package static let queue = "usage"

    /// The first day, in UTC.
    package let from: UTCDay
    /// The last day.
    package let to: UTCDay
    /// Whether less than what a final day has replaces it too.
    package let force: Bool?

    package init(from: UTCDay, to: UTCDay, force: Bool = false) {
        self.from = from
        self.to = to
        self.force = force ? true : nil
    }

    package var uniqueKey: String? { "\(Self.name)\(force == true ? ".forced" : ""):\(from):\(to)" }

    package func run(in context: JobContext) async throws -> Output {
        guard from <= to, from.advanced(by: Self.longest) > to else {
            throw JobFailure.permanent(
                code: "invalid_range", message: "\(from) to \(to) is not a range of 1 to \(Self.longest) days.")
        }
        let days = UTCDay.range(from: from, to: to)
        guard try await context.children() != nil else {
            // The newest first: they are looked at most.
            try await context.openOnce(force: force == true) { _ in days.reversed() }
            throw JobWaitForChildren(.someMayFail)
        }
        let outputs = try await context.childResults(as: UsageFetchDay.Output.self).compactMap(\.output)
        let rebuilt = Set(outputs.map(\.date))
        return Output(
            rebuiltDays: rebuilt.count, totalEntries: outputs.reduce(0) { $0 + $1.entries },
            failedDays: days.filter { !rebuilt.contains($0) })
    }
}
