import Foundation
import Hummingbird
import Jobs
import Shared

/// Taking days of usage over anew.
struct UsageRebuildRoutes: RouteGroup {
    /// Days that are meant when none are named.
    private static let usual = 30

    let collection: UsageCollection
    let changes: Changes

    init(collection: UsageCollection, changes: Changes) {
        self.collection = collection
        self.changes = changes
    }

    var routes: [Route] {
        [.permitted(.usageWrite, .post, "/api/v1/admin/usage/rebuild-cache", rebuild)]
    }

    private func rebuild(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let today = UTCDay(containing: Date())
        let end = fields.day("endDate") ?? today
        let start = fields.day("startDate") ?? max(end.advanced(by: 1 - Self.usual), DateRange.earliest)
        let force = fields.bool("force") ?? false
        try fields.check()
        let pending = UsageRebuildView(from: start, to: end, output: nil)
        let outcome = Changes.Outcome(reload: { job in
            let output = try job.result.map {
                try JSON.decoder.decode(UsageRebuild.Output.self, from: Data($0.encodedString().utf8))
            }
            return UsageRebuildView(from: start, to: end, output: output)
        })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let job = try await collection.rebuild(
                from: start, to: end, force: force, by: call.actor, in: transaction)
            return Change(
                resource: pending,
                job: JobView(
                    job, UsageRebuild.self, resource: JobResource(type: "usage", id: "\(start)/\(end)"), at: Date()))
        }
    }
}

/// Days that are taken over anew, in LiteMaaS's shape, and which of them were not.
private struct UsageRebuildView: ResourceBody {
    let from: UTCDay
    let to: UTCDay
    /// Nil while it is under way.
    let output: UsageRebuild.Output?

    func writeMembers(to json: inout JSONWriter) {
        let days = UTCDay.range(from: from, to: to).count
        let failed = output?.failedDays ?? []
        let message =
            switch output {
            case nil: "\(days) days are being fetched."
            case let output? where failed.isEmpty: "\(output.rebuiltDays) days were fetched."
            case let output?: "\(output.rebuiltDays) of \(days) days were fetched; the others are as they were."
            }
        json.member("message", message)
        json.member("startDate", from.description)
        json.member("endDate", to.description)
        json.member("rebuiltCount", output?.rebuiltDays ?? 0)
        json.member("totalEntries", output?.totalEntries ?? 0)
        json.member("failedDays", failed.map(\.description))
        json.member("status", output == nil ? "pending" : failed.isEmpty ? "complete" : "partial")
    }
}
