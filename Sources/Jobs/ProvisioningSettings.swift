package import Shared

/// Limits and waits of the provisioning kinds.
package struct ProvisioningSettings: Sendable {
    /// How long a verified key's sealed secret is kept for a repeated answer.
    package var secretRetention: Duration = .seconds(15 * 60)
    /// How long after the last possible create attempt a revoked key stays blocked before it is deleted in LiteLLM.
    package var deleteGrace: Duration = .seconds(10 * 60)
    /// How long a secret that was rotated out works on, unless the request says otherwise.
    package var rotationGrace: Duration = .zero
    /// Whether keys' secrets are kept, sealed, to be shown again.
    package var keepsSecretsForReveal = false
    /// Active keys one user may hold.
    package var maxActiveKeysPerUser = 10
    /// The part of the known models that may vanish in one listing before it is doubted; 0...1.
    package var modelShrinkLimit = 0.5
    /// How long an unavailable model stays in subscriptions and keys.
    package var modelRetirementGrace: Duration = .seconds(3600)
    /// How long after midnight UTC a day still takes late spend.
    package var usageGrace: Duration = .seconds(2 * 3600)
    /// Whether single requests are taken over from LiteLLM's log.
    package var keepsRequestLog = false

    /// How long whoever asked for many keys at once can read their secrets; zero for never.
    package var bulkResultsWindow: Duration = .seconds(24 * 3600)

    /// The defaults.
    package init() {}

    /// As configured.
    package init(_ configuration: AppConfiguration) {
        secretRetention = configuration.keys.secretRetention
        deleteGrace = configuration.keys.deleteGrace
        rotationGrace = configuration.keys.rotationGrace
        keepsSecretsForReveal = configuration.keys.revealEnabled
        maxActiveKeysPerUser = configuration.keys.maxPerUser
        bulkResultsWindow = configuration.keys.bulkResultsWindow
        modelRetirementGrace = configuration.models.retirementGrace
        usageGrace = configuration.usage.grace
        keepsRequestLog = configuration.usage.keepsRequestLog
    }
}
