import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Shared

/// Keys of labels, whoever made them and in which batch: prolonged and revoked.
struct LabelledKeyRoutes: RouteGroup {
    let database: PostgresClient
    let batches: KeyBatches
    let changes: Changes

    var routes: [Route] {
        [
            .permitted(.adminAPIKeys, .post, KeyBatchRoutes.path + "/extend", extend),
            .permitted(.adminAPIKeys, .post, KeyBatchRoutes.path + "/revoke", revoke),
        ]
    }

    private func extend(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let end = try fields.requiredEnd()
        return try await perform(call, body, fields, KeysBulkExtend.self) { selection, transaction in
            try await batches.extend(selection, to: end ?? .distantPast, by: call.actor, in: transaction)
        }
    }

    private func revoke(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let reason = fields.string("reason", length: 0...500)
        return try await perform(call, body, fields, KeysBulkRevoke.self) { selection, transaction in
            try await batches.revoke(selection, reason: reason, by: call.actor, in: transaction)
        }
    }

    /// - Parameter fields: what was read of the body so far.
    private func perform<Kind: JobKind>(
        _ call: AuthenticatedCall, _ body: JSONBody, _ fields: Fields, _ kind: Kind.Type,
        _ change: @escaping @Sendable (KeySelection, PostgresTransaction) async throws -> EnqueuedJob
    ) async throws -> Response {
        var fields = fields
        let labels = fields.labels() ?? []
        if labels.isEmpty { fields.refuse("labels", .required, "must name at least one label") }
        let match = fields.string("match").flatMap { text -> KeySelection.Match? in
            let match = KeySelection.Match(rawValue: text)
            if match == nil { fields.refuse("match", .choice, "must be all or any") }
            return match
        }
        let isDryRun = fields.bool("dryRun") ?? false
        try fields.check()
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            let selection = KeySelection(labels: labels, match: match ?? .all)
            let view = KeySelectionView(
                preview: try await batches.preview(selection, in: transaction), isDryRun: isDryRun)
            guard !isDryRun else { return Change(resource: view, job: nil) }
            let job = try await change(selection, transaction)
            return Change(resource: view, job: JobView(job, kind, resource: nil, at: Date()))
        }
    }
}
