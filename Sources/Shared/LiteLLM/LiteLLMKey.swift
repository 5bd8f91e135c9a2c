package import Foundation

/// A virtual key as LiteLLM stores it.
package struct LiteLLMKey: Sendable, Equatable {
    /// Whether it works.
    package enum Status: String, Sendable, Codable {
        /// It works, budgets and limits permitting.
        case active
        /// Refused until it is unblocked.
        case blocked
        /// Past its expiry.
        case expired
        /// Gone; LiteLLM remembers it.
        case deleted
    }

    /// SHA-256 of the secret, in hexadecimal.
    package var hash: String
    /// Whether it works.
    package var status: Status
    /// Unique over all live keys.
    package var alias: String?
    /// Masked secret, `sk-...abcd`.
    package var name: String?
    /// Owner.
    package var userId: String?
    /// Team.
    package var teamId: String?
    /// Public model names; empty means all models.
    package var models: [String]
    /// Dollars spent in the current budget period.
    package var spend: Decimal
    /// Dollars; nil for no limit.
    package var maxBudget: Decimal?
    /// Dollars at which LiteLLM only warns.
    package var softBudget: Decimal?
    /// Such as `30d`.
    package var budgetDuration: String?
    /// When the spend goes back to zero.
    package var budgetResetAt: Date?
    /// End of life; nil for never.
    package var expires: Date?
    /// Tokens per minute.
    package var tpmLimit: Int?
    /// Requests per minute.
    package var rpmLimit: Int?
    /// Requests at a time.
    package var maxParallelRequests: Int?
    /// Tokens per minute by model.
    package var modelTpmLimit: [String: Int]
    /// Requests per minute by model.
    package var modelRpmLimit: [String: Int]
    /// LiteLLM's budgets by model, as stored.
    package var modelMaxBudget: JSONValue?
    /// LiteLLM's permissions object.
    package var permissions: JSONValue?
    /// Groups of routes, or routes, that it may call; empty means all that its owner may, such as making more keys.
    package var allowedRoutes: [String]
    /// All metadata.
    package var metadata: JSONValue?
    /// Creation.
    package var createdAt: Date?
    /// Last change, spending included.
    package var updatedAt: Date?
    /// Last use.
    package var lastActive: Date?
    /// Deletion, when deleted.
    package var deletedAt: Date?

    /// Our marker; nil when the key is not ours.
    package var marker: LiteLLMMarker? { LiteLLMMarker(metadata: metadata) }

    /// What our keys may call: models, and nothing that manages LiteLLM. Without it a key could make others of its
    /// owner's, for all models and without a budget.
    package static let routes = ["llm_api_routes"]
}

/// A page of keys.
package struct LiteLLMKeyPage: Sendable, Equatable {
    /// The keys of this page, newest first.
    package var keys: [LiteLLMKey]
    /// Keys on all pages.
    package var totalCount: Int
    /// This page, from 1.
    package var page: Int
    /// 0 when there are no keys.
    package var totalPages: Int
}

/// The columns of a key, which `/key/info` nests, older releases do not, and `/key/list` and the mutations give flat.
struct KeyRow: Decodable {
    /// Nil when the answer does not say which key it describes.
    let hash: String?
    let statusText: String?
    let blocked: Bool
    /// All but `hash` and `status`, which depend on what was asked and when.
    let key: LiteLLMKey

    init(from decoder: any Decoder) throws {
        let row = try decoder.container(keyedBy: AnyMember.self)
        let metadata = row.json("metadata")
        hash = row.name("token") ?? row.name("token_id")
        statusText = row.name("status")
        blocked = row.flag("blocked") ?? false
        let budgetTable = try? row.nestedContainer(keyedBy: AnyMember.self, forKey: "litellm_budget_table")
        key = LiteLLMKey(
            hash: "", status: .active, alias: row.name("key_alias"), name: row.name("key_name"),
            userId: row.name("user_id"), teamId: row.name("team_id"), models: row.strings("models"),
            spend: row.decimal("spend") ?? 0, maxBudget: row.decimal("max_budget"),
            softBudget: row.decimal("soft_budget") ?? budgetTable?.decimal("soft_budget"),
            budgetDuration: row.name("budget_duration"), budgetResetAt: row.date("budget_reset_at"),
            expires: row.date("expires"), tpmLimit: row.integer("tpm_limit"), rpmLimit: row.integer("rpm_limit"),
            maxParallelRequests: row.integer("max_parallel_requests"),
            modelTpmLimit: row.counts("model_tpm_limit").orElse(metadata?["model_tpm_limit"]),
            modelRpmLimit: row.counts("model_rpm_limit").orElse(metadata?["model_rpm_limit"]),
            modelMaxBudget: row.json("model_max_budget"), permissions: row.json("permissions"),
            allowedRoutes: row.strings("allowed_routes"), metadata: metadata,
            createdAt: row.date("created_at"), updatedAt: row.date("updated_at"),
            lastActive: row.date("last_active"), deletedAt: row.date("deleted_at"))
    }

    /// Whether it has what only a row of a key has.
    var looksLikeKey: Bool { hash != nil || key.name != nil || key.createdAt != nil || statusText != nil }

    /// The key, given what was asked for and the present time.
    func key(hash asked: String?, now: Date) -> LiteLLMKey {
        var key = key
        key.hash = hash ?? asked ?? ""
        key.status =
            switch statusText {
            case "deleted": .deleted
            case _ where key.deletedAt != nil: .deleted
            case "revoked", "blocked": .blocked
            case _ where blocked: .blocked
            case "expired": .expired
            case _ where key.expires.map { $0 <= now } ?? false: .expired
            default: .active
            }
        return key
    }
}

/// `{"key": ..., "info": {...}}`, or the row itself in older releases.
struct KeyInfoAnswer: Decodable {
    let row: KeyRow

    init(from decoder: any Decoder) throws {
        let outer = try decoder.container(keyedBy: AnyMember.self)
        row = outer.contains("info") ? try outer.decode(KeyRow.self, forKey: "info") : try KeyRow(from: decoder)
        guard row.looksLikeKey else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not a key"))
        }
    }
}

/// A page of `/key/list` with complete rows.
struct KeyListAnswer: Decodable {
    let rows: [KeyRow]
    let totalCount: Int
    let page: Int
    let totalPages: Int

    init(from decoder: any Decoder) throws {
        let page = try decoder.container(keyedBy: AnyMember.self)
        rows = try page.decode([KeyRow].self, forKey: "keys")
        guard rows.allSatisfy({ $0.hash != nil }) else {
            throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "a key without its hash"))
        }
        totalCount = page.integer("total_count") ?? rows.count
        self.page = page.integer("current_page") ?? 1
        totalPages = page.integer("total_pages") ?? (rows.isEmpty ? 0 : 1)
    }
}

extension [String: Int] {
    fileprivate func orElse(_ other: JSONValue?) -> [String: Int] {
        isEmpty ? (other?.objectValue ?? [:]).compactMapValues(\.intValue) : self
    }
}
