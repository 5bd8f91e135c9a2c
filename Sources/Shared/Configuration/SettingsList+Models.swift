extension SettingsList {
    // MARK: Models

    static let modelRetirementGrace = Setting(
        "MODEL_RETIREMENT_GRACE", .duration(.minutes, 0...10_080), default: .seconds(3600), .models, usedBy: [.worker],
        "How long subscriptions and keys keep a model that LiteLLM no longer lists (minutes). Until then an administrator can undo it, and a model that comes back is as it was."
    )
    static let modelTestNetworks = Setting(
        "MODEL_TEST_ALLOWED_NETWORKS", .list(of: "addresses and networks such as 10.0.0.0/8", element: network),
        default: [], .models, usedBy: [.api], example: "10.0.0.0/8,fd00::/8",
        "Addresses not open to the whole internet that `POST /api/v1/admin/models/test` may connect to. Endpoints inside a cluster are the normal case: name the networks of its services and pods, but not those of the nodes' metadata services. Left out: public addresses only."
    )

    static let models = [modelRetirementGrace.definition, modelTestNetworks.definition]
}

/// Models.
package struct ModelConfiguration: Sendable {
    /// `MODEL_RETIREMENT_GRACE`.
    package let retirementGrace: Duration
    /// `MODEL_TEST_ALLOWED_NETWORKS`.
    package let testNetworks: [IPNetwork]

    init(_ reader: inout SettingsReader) {
        retirementGrace = reader.read(SettingsList.modelRetirementGrace)
        testNetworks = reader.read(SettingsList.modelTestNetworks)
    }
}
