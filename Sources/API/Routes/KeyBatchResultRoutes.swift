import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import NIOCore
import Shared

/// What came of a batch, with the keys' secrets for whoever asked for it, as long as they are kept.
struct KeyBatchResultRoutes: RouteGroup {
    /// Keys that are read and written at once.
    private static let chunk = 500

    let database: PostgresClient
    let sealer: Sealer
    private let store = PostgresKeyBatchStore()
    private let secrets = PostgresSealedSecretStore()
    private let audit = PostgresAuditStore()

    init(database: PostgresClient, sealer: Sealer) {
        self.database = database
        self.sealer = sealer
    }

    var routes: [Route] {
        [.permitted(.adminAPIKeys, .get, KeyBatchRoutes.path + "/{id}/results", results)]
    }

    private enum Format: String, CaseIterable {
        case json
        case jsonl
        case csv

        var contentType: String {
            switch self {
            case .json: "application/json; charset=utf-8"
            case .jsonl: "application/x-ndjson"
            case .csv: "text/csv; charset=utf-8"
            }
        }
    }

    /// Whether secrets are shown, and if not, why.
    private enum Secrets: String {
        /// Of every key that works.
        case included
        /// Of some of them.
        case partial
        /// No key works.
        case none
        /// Somebody else asked for the batch.
        case withheld
        /// They are no longer kept, or never were.
        case gone

        var notice: String? {
            switch self {
            case .included: nil
            case .partial: "Keys without `key` were rotated since, or are no longer kept. Rotate those that were lost."
            case .none: "No key of the batch works at this moment."
            case .withheld: "The keys are shown only to whoever asked for the batch."
            case .gone: "The keys are no longer kept. Rotate those that were lost."
            }
        }
    }

    private func results(_ call: AuthenticatedCall) async throws -> Response {
        let batch = try await call.keyBatch(in: database)
        var query = try call.call.query()
        let formats = query.choices("format", of: Format.self)
        if formats.count > 1 { query.refuse("format", .choice, "must be json, jsonl or csv") }
        try query.check()
        let format = formats.first ?? .json
        let secrets = try await shown(batch, to: call.principal)
        try await audit.append(
            AuditEntry(
                actor: call.actor, action: "API_KEYS_BULK_RESULTS", resourceType: "key_batch",
                resourceId: batch.id.text,
                metadata: [
                    "format": .string(format.rawValue), "keysShown": .bool(secrets == .included || secrets == .partial),
                    "total": .int(batch.total),
                ]),
            in: database)
        return Response(
            status: .ok,
            headers: [
                .contentType: format.contentType, .cacheControl: "no-store",
                .known("Content-Disposition"): "attachment; filename=\"keys-\(batch.id.text).\(format.rawValue)\"",
                .known("X-Keys-Shown"): secrets.rawValue,
            ],
            body: ResponseBody { writer in
                try await writer.write(ByteBuffer(string: Self.head(batch, secrets, format)))
                var last = 0
                while true {
                    let items = try await store.items(of: batch.id, after: last, limit: Self.chunk, in: database)
                    guard let end = items.last else { break }
                    let views = try await views(of: items, secrets)
                    try await writer.write(Self.bytes(of: views, format, isFirst: last == 0))
                    last = end.ordinal
                }
                if format == .json { try await writer.write(ByteBuffer(string: "]}")) }
                try await writer.finish(nil)
            })
    }

    private func shown(_ batch: KeyBatch, to principal: Principal) async throws -> Secrets {
        guard principal.id == batch.requester else { return .withheld }
        let (working, kept) = try await store.keptSecrets(of: batch.id, in: database)
        guard working > 0 else { return .none }
        if kept == 0 { return .gone }
        return kept < working ? .partial : .included
    }

    private func views(of items: [KeyBatchItem], _ shown: Secrets) async throws -> [KeyBatchItemView] {
        let purpose = PostgresSealedSecretStore.Purpose.apiKeyBatch
        let working = items.filter { $0.status == .ready }.compactMap(\.key?.hash)
        let sealed =
            shown != .withheld && !working.isEmpty
            ? try await secrets.get(purpose, rowIds: working, in: database) : [:]
        return try items.map { item in
            var view = KeyBatchItemView(item: item, isResult: true)
            if let hash = item.key?.hash, let value = sealed[hash] {
                view.secret = try sealer.open(value, purpose: purpose.rawValue, rowId: hash)
            }
            return view
        }
    }

    private static func head(_ batch: KeyBatch, _ secrets: Secrets, _ format: Format) -> String {
        switch format {
        case .csv: return KeyBatchItemView.header
        case .jsonl: return ""
        case .json:
            let members = Members { json in
                json.member("id", batch.id)
                json.member("name", batch.name)
                json.member("keysShown", secrets.rawValue)
                json.member("notice", secrets.notice)
                json.member("resultsUntil", batch.resultsUntil)
            }
            return String(decoding: JSONWriter.bytes(of: members).dropLast(), as: UTF8.self) + ",\"data\":["
        }
    }

    private static func bytes(of views: [KeyBatchItemView], _ format: Format, isFirst: Bool) -> ByteBuffer {
        var buffer = ByteBuffer()
        for (index, view) in views.enumerated() {
            switch format {
            case .csv: buffer.writeString(view.csv)
            case .jsonl:
                buffer.writeBytes(JSONWriter.bytes(of: view))
                buffer.writeString("\n")
            case .json:
                if !(isFirst && index == 0) { buffer.writeString(",") }
                buffer.writeBytes(JSONWriter.bytes(of: view))
            }
        }
        return buffer
    }
}
