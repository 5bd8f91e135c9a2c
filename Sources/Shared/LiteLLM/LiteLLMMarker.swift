/// What marks an object in LiteLLM as ours, kept in its `metadata`:
/// `{created_by, db_key_id | db_user_id | db_team_id | db_model_id, intent_id, version, client}`.
package struct LiteLLMMarker: Sendable, Equatable {
    /// The kind of object.
    package enum Resource: String, Sendable, CaseIterable {
        /// A virtual key.
        case key = "db_key_id"
        /// A user.
        case user = "db_user_id"
        /// A team.
        case team = "db_team_id"
        /// A model deployment.
        case model = "db_model_id"
    }

    /// The value of `created_by`.
    package static let creator = "litemaas"

    /// The kind of object.
    package var resource: Resource
    /// The id of our row.
    package var id: String
    /// What made or last changed it: a job's id.
    package var intentId: String
    /// The version of our row that it carries.
    package var version: Int
    /// The caller's own metadata; one level down, since LiteLLM obeys switches it finds at the top.
    package var client: JSONValue?

    /// A marker for one object.
    package init(_ resource: Resource, id: String, intentId: String, version: Int, client: JSONValue? = nil) {
        self.resource = resource
        self.id = id
        self.intentId = intentId
        self.version = version
        self.client = client
    }

    /// Reads the marker out of an object's metadata; nil when it is not ours.
    package init?(metadata: JSONValue?) {
        guard let metadata, metadata["created_by"]?.stringValue == Self.creator else { return nil }
        let found = Resource.allCases.lazy.compactMap { resource in
            metadata[resource.rawValue]?.textValue.map { (resource, $0) }
        }.first
        guard let (resource, id) = found else { return nil }
        self.init(
            resource, id: id, intentId: metadata["intent_id"]?.textValue ?? "",
            version: metadata["version"]?.intValue ?? 0, client: metadata["client"])
    }

    /// The metadata to store.
    package var metadata: JSONValue {
        var members: [String: JSONValue] = [
            "created_by": .string(Self.creator), resource.rawValue: .string(id), "intent_id": .string(intentId),
            "version": .int(version),
        ]
        if let client { members["client"] = client }
        return .object(members)
    }
}

extension JSONValue {
    /// A string, or a number as text.
    var textValue: String? { stringValue ?? intValue.map(String.init) }
}
