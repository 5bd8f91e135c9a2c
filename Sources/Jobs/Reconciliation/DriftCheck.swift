import Foundation
import Shared

/// A fresh look at one object: our row, LiteLLM, and then the row again under its lock. What two looks at different
/// times may show as a difference is none.
struct DriftCheck: Sendable {
    let context: JobContext
    private let store = PostgresDriftStore()
    private let keys = PostgresAPIKeyStore()

    init(_ context: JobContext) {
        self.context = context
    }

    /// How a look ended.
    enum Look: Sendable {
        /// A job is on its way, or the row is changing: nothing can be said now.
        case busy
        /// What differs, and the row's version that it is true of; nil where there is no row.
        case seen([DriftObservation], version: Int64?)
    }

    /// The order key of the jobs on an object.
    static func orderKey(_ object: DriftObject, _ id: String) -> String { "\(object.rawValue):\(id)" }

    /// - Parameter litellmIds: those that a list has shown; of a key the hashes.
    func look(at object: DriftObject, _ id: String, litellmIds: Set<String>) async throws -> Look {
        guard try await !store.isBusy(Self.orderKey(object, id), in: context.services.database) else { return .busy }
        return switch object {
        case .key: try await key(id, litellmIds)
        case .user: try await user(id)
        case .team: try await team(id)
        case .model: try await model(id, litellmIds)
        }
    }

    /// Whether what a look has shown is true still. Locks the row.
    func holds(
        _ object: DriftObject, _ id: String, version: Int64?, in transaction: PostgresTransaction
    ) async throws -> Bool {
        let now: Int64?
        switch (object, UUID(uuidString: id)) {
        case (.key, let uuid?): now = try await keys.lock(uuid, in: transaction)?.sync.versionWanted
        case (.user, let uuid?): now = try await PostgresUserStore().lock(uuid, in: transaction)?.sync.versionWanted
        case (.team, let uuid?): now = try await PostgresTeamStore().lock(uuid, in: transaction)?.sync.versionWanted
        case (.model, _):
            _ = try await PostgresModelStore().lock(id, in: transaction)
            now = try await PostgresModelSpecStore().find(id, in: transaction)?.sync.versionWanted
        default: now = nil
        }
        guard now == version else { return false }
        return try await !store.isBusy(Self.orderKey(object, id), in: transaction)
    }

    private func key(_ id: String, _ hashes: Set<String>) async throws -> Look {
        guard let uuid = UUID(uuidString: id) else { return try await stranger(hash: id) }
        let listed = try await keys.listed(of: uuid, in: context.services.database)
        guard let key = listed.first?.key else { return .seen([], version: nil) }
        var all: [DriftObservation] = []
        for secret in listed where hashes.contains(secret.token.hash) || secret.token.role == .current {
            all += secret.observations(try await context.litellm.keyInfo(hash: secret.token.hash))
        }
        return .seen(all, version: key.sync.versionWanted)
    }

    /// A key that has no row here, by its hash.
    private func stranger(hash: String) async throws -> Look {
        guard try await keys.find(hash: hash, in: context.services.database) == nil,
            let found = try await context.litellm.keyInfo(hash: hash), found.status == .active
        else { return .seen([], version: nil) }
        return .seen([found.stranger], version: nil)
    }

    private func user(_ id: String) async throws -> Look {
        guard let uuid = UUID(uuidString: id),
            let user = try await PostgresUserStore().find(uuid, in: context.services.database)
        else { return .seen([], version: nil) }
        return .seen(
            user.observations(try await context.litellm.user(id: uuid.text)), version: user.sync.versionWanted)
    }

    private func team(_ id: String) async throws -> Look {
        let (teams, database) = (PostgresTeamStore(), context.services.database)
        guard let uuid = UUID(uuidString: id), let team = try await teams.find(uuid, in: database) else {
            return .seen([], version: nil)
        }
        let present = try await teams.provisionedMemberIds(ofTeam: uuid, in: database)
        let departed = try await teams.departedIds(ofTeam: uuid, in: database)
        let found = try await context.litellm.team(id: uuid.text)
        return .seen(
            team.observations(found, present: present, departed: departed), version: team.sync.versionWanted)
    }

    private func model(_ id: String, _ deploymentIds: Set<String>) async throws -> Look {
        let (specs, database) = (PostgresModelSpecStore(), context.services.database)
        let model = try await specs.find(id, in: database)
        var all: [DriftObservation] = []
        if let model, model.wanted == .present {
            all += model.observations(try await context.litellm.model(id: model.deploymentId))
        }
        for deployment in try await specs.deleted(among: deploymentIds.sorted(), in: database).sorted()
        where try await context.litellm.model(id: deployment) != nil {
            all.append(
                DriftObservation(
                    .alive, field: "deployment \(deployment)", wanted: "absent", found: "present",
                    litellmId: deployment, name: id))
        }
        return .seen(all, version: model?.sync.versionWanted)
    }
}

extension LiteLLMKey {
    /// What a key without a row here is.
    var stranger: DriftObservation {
        DriftObservation(
            marker?.resource == .key ? .unknown : .foreign, found: userId.map { "of user \($0)" }, litellmId: hash,
            name: alias ?? name)
    }
}
