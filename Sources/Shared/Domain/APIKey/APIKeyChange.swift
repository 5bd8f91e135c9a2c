package import Foundation

/// What somebody changes about a key; nil and `.keep` leave a field as it is.
package struct APIKeyChange: Sendable, Equatable {
    /// The owner's name for it.
    package var name = FieldChange<String>.keep
    /// Public model names; at least one.
    package var modelIds: [String]?
    /// When it ends.
    package var expiresAt = FieldChange<Date>.keep
    /// Dollars.
    package var maxBudget = FieldChange<Decimal>.keep
    /// Dollars at which LiteLLM only warns.
    package var softBudget = FieldChange<Decimal>.keep
    /// As the client wrote it.
    package var budgetDuration = FieldChange<String>.keep
    /// Tokens a minute.
    package var tpmLimit = FieldChange<Int>.keep
    /// Requests a minute.
    package var rpmLimit = FieldChange<Int>.keep
    /// Requests in flight at once.
    package var maxParallelRequests = FieldChange<Int>.keep
    /// Per model `{budgetLimit, timePeriod}`.
    package var modelMaxBudget = FieldChange<JSONValue>.keep
    /// Per model requests a minute.
    package var modelRpmLimit = FieldChange<JSONValue>.keep
    /// Per model tokens a minute.
    package var modelTpmLimit = FieldChange<JSONValue>.keep
    /// The owner's own data, as a whole.
    package var metadata: JSONValue?
    /// Ours only.
    package var tags: [String]?
    /// Booleans such as `allowChatCompletions`, as a whole.
    package var permissions: JSONValue?

    /// A change of nothing.
    package init() {}

    /// The key as it is wanted then.
    package func applied(to key: APIKey) -> APIKey {
        var key = key
        name.apply(to: &key.name)
        if let modelIds { key.modelIds = Set(modelIds).sorted() }
        expiresAt.apply(to: &key.expiresAt)
        maxBudget.apply(to: &key.limits.spending.maxBudget)
        softBudget.apply(to: &key.limits.softBudget)
        budgetDuration.apply(to: &key.limits.spending.budgetDuration)
        tpmLimit.apply(to: &key.limits.spending.tpmLimit)
        rpmLimit.apply(to: &key.limits.spending.rpmLimit)
        maxParallelRequests.apply(to: &key.limits.maxParallelRequests)
        modelMaxBudget.apply(to: &key.limits.modelMaxBudget)
        modelRpmLimit.apply(to: &key.limits.modelRpmLimit)
        modelTpmLimit.apply(to: &key.limits.modelTpmLimit)
        if let metadata { key.metadata = metadata }
        if let tags { key.tags = tags }
        if let permissions { key.permissions = permissions }
        return key
    }
}
