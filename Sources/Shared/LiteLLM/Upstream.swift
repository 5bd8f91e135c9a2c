/// A class of calls to LiteLLM that fails, and is held back, on its own.
package enum Upstream: String, Sendable, CaseIterable, Codable {
    /// Users, teams, keys, models and health.
    case litellmAdmin = "litellm.admin"
    /// Daily activity, whose queries are heavy.
    case litellmUsage = "litellm.usage"

    /// The number stored for it; never changes.
    package var code: Int16 {
        switch self {
        case .litellmAdmin: 1
        case .litellmUsage: 2
        }
    }

    /// The upstream stored as `code`; nil for a number that means none.
    package init?(code: Int16) {
        guard let match = Self.allCases.first(where: { $0.code == code }) else { return nil }
        self = match
    }
}
