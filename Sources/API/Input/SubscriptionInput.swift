import Foundation
import Jobs
import Shared

extension SubscriptionRequest {
    /// Reads the body of a request for a subscription. Throws `APIError` 400 with every field that cannot be used.
    init(_ body: JSONBody, userId: UUID) throws(APIError) {
        var fields = body.fields
        self.init(userId: userId, modelId: fields.requiredString("modelId", length: 1...255))
        quotaRequests = fields.int("quotaRequests", in: SubscriptionQuotas.range)
        quotaTokens = fields.int("quotaTokens", in: SubscriptionQuotas.range)
        expiresAt = fields.date("expiresAt")
        metadata = fields.object("metadata").map(JSONValue.object)
        try fields.check()
    }
}

extension SubscriptionChange {
    /// Reads the body of a change. Throws `APIError` 400 with every field that cannot be used.
    init(_ body: JSONBody) throws(APIError) {
        var fields = body.fields
        self.init()
        if let name = fields.string("status", length: 1...20) {
            status = SubscriptionStatus(rawValue: name)
            if status == nil {
                let known = SubscriptionStatus.allCases.map(\.rawValue).joined(separator: ", ")
                fields.refuse("status", .choice, "must be one of \(known)")
            }
        }
        reason = fields.text("reason", length: 0...500)
        readQuotas(from: &fields)
        expiresAt = body.change("expiresAt", to: fields.date("expiresAt"))
        metadata = body.change("metadata", to: fields.object("metadata").map(JSONValue.object))
        try fields.check()
        var empty = SubscriptionChange()
        empty.reason = reason
        guard self != empty else {
            throw APIError.validation(
                "body", .required, "must name at least one of status, quotaRequests, quotaTokens, expiresAt, metadata")
        }
    }

    /// Reads a body that only sets quotas.
    init(quotas body: JSONBody) throws(APIError) {
        var fields = body.fields
        self.init()
        readQuotas(from: &fields)
        try fields.check()
        guard quotaRequests != nil || quotaTokens != nil else {
            throw APIError.validation("body", .required, "must name at least one of quotaRequests, quotaTokens")
        }
    }

    private mutating func readQuotas(from fields: inout Fields) {
        quotaRequests = fields.int("quotaRequests", in: SubscriptionQuotas.range)
        quotaTokens = fields.int("quotaTokens", in: SubscriptionQuotas.range)
    }
}

extension Fields {
    /// Ids of several things, each once.
    mutating func uuids(_ name: String, count: ClosedRange<Int>) -> [UUID] {
        let texts = requiredStrings(name, count: count, length: 1...36)
        var ids: [UUID] = []
        for (index, text) in texts.enumerated() {
            if let id = UUID(uuidString: text) {
                if !ids.contains(id) { ids.append(id) }
            } else {
                refuse("\(name)[\(index)]", .format, "must be a UUID")
            }
        }
        return ids
    }
}

extension QueryFields {
    private static let filterValues = 100

    /// Which subscriptions an administrator wants to see.
    mutating func adminSubscriptions() -> SubscriptionFilter {
        var filter = SubscriptionFilter()
        filter.page = page()
        filter.statuses =
            choices("statuses", of: SubscriptionStatus.self) + choices("status", of: SubscriptionStatus.self)
        filter.modelIds = strings("modelIds", count: Self.filterValues)
        let userIds = strings("userIds", limit: 36, count: Self.filterValues)
        filter.userIds = userIds.compactMap(UUID.init(uuidString:))
        if filter.userIds.count < userIds.count { refuse("userIds", .format, "must be UUIDs") }
        filter.from = moment("dateFrom", isEnd: false)
        filter.before = moment("dateTo", isEnd: true)
        if let from = filter.from, let before = filter.before, from >= before {
            refuse("dateFrom", .range, "must not be after dateTo")
        }
        return filter
    }
}
