import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Shared

/// Usage as files: what is small at once, what is large by a job.
struct UsageExportRoutes: RouteGroup {
    let database: PostgresClient
    let exports: UsageExports
    let changes: Changes
    private let store = PostgresUsageExportStore()
    private let audit = PostgresAuditStore()

    init(database: PostgresClient, exports: UsageExports, changes: Changes) {
        self.database = database
        self.exports = exports
        self.changes = changes
    }

    var routes: [Route] {
        [
            .permitted(.usageExport, .get, "/api/v1/usage/export", own),
            .permitted(.adminUsage, .post, "/api/v1/admin/usage/export", everybody),
            .permitted(.usageExport, .get, "/api/v1/usage/exports/{id}", file),
            .permitted(.usageExport, .get, "/api/v1/usage/exports/{id}/download", download),
        ]
    }

    private func own(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let limits = try await PostgresSettingStore().analytics(in: database)
        let range = try DateRange(&query, today: UTCDay(containing: Date()), longest: limits.maxDays)
        let format = query.exportFormat(otherwise: .json)
        var wanted = UsageExportRequest(scope: .own, format: format, from: range.start, to: range.end)
        wanted.apiKeyIds = query.uuid("apiKeyId").map { [$0] }
        let modelId = query.string("modelId")
        let subscriptionId = query.uuid("subscriptionId")
        let userId = query.uuid("userId")
        let isAsync = query.bool("async") ?? false
        try query.check()
        let owner = try call.principal.owner(asked: userId, others: .adminUsage, programs: .usageExport)
        wanted.userIds = owner.map { [$0] } ?? []
        wanted.modelIds = modelId.map { [$0] } ?? []
        if let subscriptionId {
            let found = try await PostgresSubscriptionStore().find(subscriptionId, in: database)
            guard let found, owner == nil || found.userId == owner else {
                throw APIError.notFound("subscription", id: subscriptionId.text)
            }
            guard modelId == nil || modelId == found.modelId else {
                throw APIError.validation("modelId", .invalid, "is not the model of this subscription")
            }
            wanted.userIds = [found.userId]
            wanted.modelIds = [found.modelId]
        }
        // An Idempotency-Key stands for these parameters, which are no part of the path.
        return try await answer(call, wanted, body: Array((call.request.uri.query ?? "").utf8), isAsync: isAsync)
    }

    private func everybody(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let isAsync = query.bool("async") ?? false
        try query.check()
        let body = try await call.call.body()
        var fields = body.fields
        let limits = try await PostgresSettingStore().analytics(in: database)
        let asked = fields.adminExport(longest: limits.maxExportDays, today: UTCDay(containing: Date()))
        var wanted = asked.request
        try fields.check()
        if !asked.aliases.isEmpty {
            // As they are now, and as the analytics do: names that no key of ours had let nothing through.
            let keys = try await PostgresUsageStore().keys(aliases: asked.aliases, in: database)
            wanted.apiKeyIds = Array(Set(keys.map(\.apiKeyId)))
        }
        let currency: Currency? = try await PostgresSettingStore().get(in: database)
        wanted.currency = (currency ?? .usDollar).code
        return try await answer(call, wanted, body: body.bytes, isAsync: isAsync)
    }

    /// The file itself while it is small, else the job that writes it.
    private func answer(
        _ call: AuthenticatedCall, _ request: UsageExportRequest, body: [UInt8], isAsync: Bool
    ) async throws -> Response {
        if !isAsync, let bytes = try await small(request) {
            try await audit.append(exports.entry(request, id: nil, by: call.actor), in: database)
            return Response(
                status: .ok, headers: Self.headers(request, length: bytes.count),
                body: .init(byteBuffer: .init(bytes: bytes)))
        }
        let id = UUID()
        let outcome = Changes.Outcome(reload: { job in
            // A repetition means the file of the first request.
            guard let id = job.resource.flatMap({ UUID(uuidString: $0.id) }) else { return nil }
            return try await store.find(id, in: database).map { UsageExportView(file: $0) }
        })
        return try await changes.perform(call, body: body, outcome: outcome) { transaction in
            let (file, job) = try await exports.start(
                request, id: id, ownerId: call.principal.user?.id, by: call.actor, in: transaction)
            return Change(
                resource: UsageExportView(file: file),
                job: JobView(
                    job, UsageExport.self, resource: JobResource(type: "usage_export", id: id.text), at: file.createdAt)
            )
        }
    }

    /// Rows that one answer may hold in memory, whatever the setting allows: about 200 bytes each.
    private static let mostAtOnce = 20_000

    /// Nil when there are too many rows for one answer.
    private func small(_ request: UsageExportRequest) async throws -> [UInt8]? {
        let limits = try await PostgresSettingStore().analytics(in: database)
        let page = try await database.withTransaction(isolation: .repeatableRead, readOnly: true) { transaction in
            try await store.page(
                request, after: nil, limit: min(limits.maxExportRows, Self.mostAtOnce), in: transaction)
        }
        guard page.next == nil else { return nil }
        var writer = UsageExportWriter(request)
        writer.append(page.rows)
        writer.end()
        return writer.take(.max, isLast: true) ?? []
    }

    // MARK: Files

    private func file(_ call: AuthenticatedCall) async throws -> Response {
        let found = try await visible(try call.call.uuid("id"), call)
        return .json(Members { UsageExportView(file: found).writeMembers(to: &$0) })
    }

    private func download(_ call: AuthenticatedCall) async throws -> Response {
        let found = try await visible(try call.call.uuid("id"), call)
        guard found.status == .ready, let length = found.byteCount else {
            throw APIError(
                .conflict, .conflict,
                found.status == .failed
                    ? "This export failed; its job can be retried, or ask for it again."
                    : "This export is not ready yet; ask for its state at /api/v1/usage/exports/\(found.id.text).")
        }
        return Response(
            status: .ok, headers: Self.headers(found.request, length: length),
            body: ResponseBody(contentLength: length) { writer in
                var number = 0
                // Should it expire meanwhile, the answer ends short of its length, and the client sees that.
                while let chunk = try await store.chunk(number, of: found.id, in: database) {
                    try await writer.write(ByteBuffer(bytes: chunk))
                    number += 1
                }
                try await writer.finish(nil)
            })
    }

    /// Owners see theirs; administrators of usage see those about everybody, and so do programs.
    private func visible(_ id: UUID, _ call: AuthenticatedCall) async throws -> UsageExportFile {
        guard let found = try await store.find(id, in: database) else { throw APIError.notFound("export", id: id.text) }
        let isSeen =
            switch found.request.scope {
            case .admin: call.principal.may(.adminUsage)
            case .own: found.ownerId.map { call.principal.user?.id == $0 } ?? (call.principal.user == nil)
            }
        guard isSeen else { throw APIError.notFound("export", id: id.text) }
        return found
    }

    private static func headers(_ request: UsageExportRequest, length: Int) -> HTTPFields {
        [
            .contentType: request.format.contentType, .cacheControl: "no-store", .contentLength: String(length),
            .known("Content-Disposition"): "attachment; filename=\"\(request.fileName)\"",
        ]
    }
}

/// A file that a job writes, and where it can be fetched.
struct UsageExportView: ResourceBody {
    let file: UsageExportFile

    func writeMembers(to json: inout JSONWriter) {
        json.member("id", file.id)
        json.member("status", file.status.rawValue)
        json.member("format", file.request.format.rawValue)
        json.member("fileName", file.request.fileName)
        json.member("startDate", file.request.from.description)
        json.member("endDate", file.request.to.description)
        json.member("rowCount", file.rowCount)
        json.member("byteCount", file.byteCount)
        json.member("error", file.error)
        json.member("jobId", file.jobId.map { String($0) })
        json.member("createdAt", file.createdAt)
        json.member("finishedAt", file.finishedAt)
        json.member("expiresAt", file.expiresAt)
        if file.status == .ready {
            json.member("downloadUrl", "/api/v1/usage/exports/\(file.id.text)/download")
        }
    }
}
