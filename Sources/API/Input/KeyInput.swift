import Foundation
import Jobs
import Shared

/// The members that a new key and a changed one have in common.
private struct KeyFields {
    static let amounts = 0.0...9_999_999_999.0
    static let counts = 0...Int(Int32.max)

    var maxBudget: Decimal?
    var softBudget: Decimal?
    var budgetDuration: String?
    var tpmLimit: Int?
    var rpmLimit: Int?
    var maxParallelRequests: Int?
    var modelMaxBudget: JSONValue?
    var modelRpmLimit: JSONValue?
    var modelTpmLimit: JSONValue?
    var expiresAt: Date?
    var tags: [String]?
    var metadata: JSONValue?
    var permissions: JSONValue?

    init(_ fields: inout Fields) {
        expiresAt = fields.date("expiresAt")
        maxBudget = fields.amount("maxBudget", in: Self.amounts)
        budgetDuration = fields.string("budgetDuration", length: 1...20)
        tpmLimit = fields.int("tpmLimit", in: Self.counts)
        rpmLimit = fields.int("rpmLimit", in: Self.counts)
        softBudget = fields.amount("softBudget", in: Self.amounts)
        maxParallelRequests = fields.int("maxParallelRequests", in: 1...Int(Int32.max))
        modelMaxBudget = fields.object("modelMaxBudget").map(JSONValue.object)
        modelRpmLimit = fields.object("modelRpmLimit").map(JSONValue.object)
        modelTpmLimit = fields.object("modelTpmLimit").map(JSONValue.object)
        metadata = fields.object("metadata").map(JSONValue.object)
        tags = fields.strings("tags", count: 0...50, length: 1...100)
        let allowed = fields.object("permissions")
        if allowed?.contains(where: { $0.value.boolValue == nil }) == true {
            fields.refuse("permissions", .type, "must hold only true and false")
        }
        permissions = allowed.map(JSONValue.object)
        if fields.strings("guardrails", count: 0...50, length: 1...100)?.isEmpty == false {
            // Ignoring them would leave the key less guarded than its owner thinks.
            fields.refuse("guardrails", .choice, "cannot be set through this API; leave it out")
        }
    }
}

extension KeyCreateRequest {
    /// Reads the body of a request for a key. Throws `APIError` 400 with every field that cannot be used.
    ///
    /// - Parameter model: the model of the subscription that an older client names in place of `modelIds`.
    init(_ body: JSONBody, userId: UUID, model: String? = nil) throws(APIError) {
        var fields = body.fields
        let modelIds =
            model.map { [$0] } ?? fields.requiredStrings("modelIds", count: 1...500, length: 1...255)
        self.init(userId: userId, modelIds: modelIds, name: fields.string("name", length: 1...255))
        teamId = fields.uuid("teamId")
        let common = KeyFields(&fields)
        expiresAt = common.expiresAt
        limits.spending.maxBudget = common.maxBudget
        limits.spending.budgetDuration = common.budgetDuration
        limits.spending.tpmLimit = common.tpmLimit
        limits.spending.rpmLimit = common.rpmLimit
        limits.softBudget = common.softBudget
        limits.maxParallelRequests = common.maxParallelRequests
        limits.modelMaxBudget = common.modelMaxBudget
        limits.modelRpmLimit = common.modelRpmLimit
        limits.modelTpmLimit = common.modelTpmLimit
        metadata = common.metadata ?? [:]
        tags = common.tags ?? []
        permissions = common.permissions ?? [:]
        try fields.check()
    }
}

extension JSONBody {
    /// What a PATCH of a key wants; `null` clears. Throws `APIError` 400 with every field that cannot be used.
    func keyChange() throws(APIError) -> APIKeyChange {
        var fields = fields
        var wanted = APIKeyChange()
        wanted.name = change("name", to: fields.string("name", length: 1...255))
        wanted.modelIds = fields.strings("modelIds", count: 1...500, length: 1...255)
        if members["modelIds"]?.isNull == true {
            fields.refuse("modelIds", .required, "must name at least one model; revoke the key instead")
        }
        let common = KeyFields(&fields)
        wanted.expiresAt = change("expiresAt", to: common.expiresAt)
        wanted.maxBudget = change("maxBudget", to: common.maxBudget)
        wanted.softBudget = change("softBudget", to: common.softBudget)
        wanted.budgetDuration = change("budgetDuration", to: common.budgetDuration)
        wanted.tpmLimit = change("tpmLimit", to: common.tpmLimit)
        wanted.rpmLimit = change("rpmLimit", to: common.rpmLimit)
        wanted.maxParallelRequests = change("maxParallelRequests", to: common.maxParallelRequests)
        wanted.modelMaxBudget = change("modelMaxBudget", to: common.modelMaxBudget)
        wanted.modelRpmLimit = change("modelRpmLimit", to: common.modelRpmLimit)
        wanted.modelTpmLimit = change("modelTpmLimit", to: common.modelTpmLimit)
        wanted.metadata = members["metadata"]?.isNull == true ? [:] : common.metadata
        wanted.tags = members["tags"]?.isNull == true ? [] : common.tags
        wanted.permissions = members["permissions"]?.isNull == true ? [:] : common.permissions
        try fields.check()
        guard wanted != APIKeyChange() else {
            throw APIError.validation("body", .required, "must name at least one field to change, such as name")
        }
        return wanted
    }
}
