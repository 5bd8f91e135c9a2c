package import Shared

/// What is walked through.
package enum ReconcileScope: String, Codable, Sendable, CaseIterable {
    // In this order: what later ones refer to comes first.
    case users, teams, keys, models

    var object: DriftObject {
        switch self {
        case .users: .user
        case .teams: .team
        case .keys: .key
        case .models: .model
        }
    }
}

/// What a walk does about what it finds. What is not named is only reported, but for what works and must not. Objects
/// without our mark are never touched by a policy.
package struct ReconcilePolicy: Codable, Sendable, Equatable {
    /// What to do about one kind of finding.
    package enum Action: String, Codable, Sendable, CaseIterable {
        /// Nothing.
        case report
        /// Make LiteLLM as our rows want it.
        case repair
        /// Block it, read that back, and delete it later: keys only.
        case revoke
    }

    package var missing: Action?
    package var unknown: Action?
    package var differs: Action?
    package var alive: Action?

    /// Nothing is named.
    package init() {}

    /// Refuses what cannot be chosen for a kind: parameters reach jobs by schedules too.
    package init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        for (key, kind) in [
            (CodingKeys.missing, DriftKind.missing), (.unknown, .unknown), (.differs, .differs), (.alive, .alive),
        ] {
            guard let action = try members.decodeIfPresent(Action.self, forKey: key) else { continue }
            let choices = Self.choices(for: kind) ?? []
            guard choices.contains(action) else {
                throw DecodingError.dataCorruptedError(
                    forKey: key, in: members,
                    debugDescription: "policy.\(kind.rawValue) must be "
                        + choices.map(\.rawValue).joined(separator: " or "))
            }
            set(action, for: kind)
        }
    }

    /// Names what is done about a kind of finding; nothing happens for one that no policy is about.
    package mutating func set(_ action: Action, for kind: DriftKind) {
        switch kind {
        case .missing: missing = action
        case .unknown: unknown = action
        case .differs: differs = action
        case .alive: alive = action
        case .foreign: break
        }
    }

    /// With nothing left out, so that equal policies look the same.
    var filled: ReconcilePolicy {
        var policy = self
        policy.missing = action(for: .missing)
        policy.unknown = action(for: .unknown)
        policy.differs = action(for: .differs)
        policy.alive = action(for: .alive)
        return policy
    }

    /// What is done about a kind of finding.
    package func action(for kind: DriftKind) -> Action {
        switch kind {
        case .missing: missing ?? .report
        case .unknown: unknown ?? .report
        case .differs: differs ?? .report
        case .alive: alive ?? .repair
        case .foreign: .report
        }
    }

    /// What can be chosen for a kind; nil for kinds that no policy is about.
    package static func choices(for kind: DriftKind) -> [Action]? {
        switch kind {
        case .missing, .differs, .alive: [.report, .repair]
        case .unknown: [.report, .revoke]
        case .foreign: nil
        }
    }

    /// As it is stored.
    package var json: JSONValue {
        .object(
            Dictionary(
                uniqueKeysWithValues: DriftKind.allCases.map { ($0.rawValue, .string(action(for: $0).rawValue)) }))
    }
}
