import Foundation
import Shared

/// Reads LiteLLM's lists page by page and collects what is to be looked at closely. Holds a page, the suspects and a
/// bounded number of strangers; what was seen is noted in the database.
struct ReconciliationWalk: Sendable {
    /// Objects that are looked at closely in one walk, and strangers of a type that are written down.
    static let suspectLimit = 10_000
    static let strangerLimit = 1000
    /// Unknown keys that may be revoked however few keys we know.
    static let unknownKeyFloor = 20
    private static let pageSize = 100
    private static let maxPages = 20_000
    /// LiteLLM's own user.
    private static let builtInUser = "default_user_id"

    /// An object that seems to differ.
    struct Suspect: Hashable, Sendable {
        var object: DriftObject
        var id: String
    }

    let id: Int64
    let context: JobContext
    /// By LiteLLM's ids that were seen.
    private(set) var suspects: [Suspect: Set<String>] = [:]
    /// By LiteLLM's id.
    private(set) var strangers: [DriftObject: [String: DriftObservation]] = [:]
    private(set) var read: [DriftObject: Int] = [:]
    /// Strangers, those included that are not written down.
    private(set) var strangerCounts: [DriftObject: [DriftKind: Int]] = [:]
    private(set) var doubts: [String] = []
    /// Whether objects that seem to differ were left out.
    private(set) var isTruncated = false
    /// Types of which strangers were left out.
    private(set) var truncatedStrangers: Set<DriftObject> = []
    private let store = PostgresDriftStore()

    init(id: Int64, context: JobContext) {
        self.id = id
        self.context = context
    }

    /// Reads the list of one type. What cannot be believed becomes a doubt.
    ///
    /// - Throws: what another attempt may get over.
    mutating func read(_ object: DriftObject) async throws {
        do {
            // Objects that go while the list is read may hide others between two pages.
            for _ in 1...3 where try await readOnce(object) {
                return try await weighAbsences(object)
            }
            doubts.append("LiteLLM's list of \(object.rawValue)s kept shrinking while it was read.")
        } catch let error as LiteLLMError where error.kind != .retryable {
            doubts.append("LiteLLM's list of \(object.rawValue)s could not be read: \(error.message).")
        }
    }

    /// False when the list does not add up.
    private mutating func readOnce(_ object: DriftObject) async throws -> Bool {
        try await store.forget(object, walk: id, in: context.services.database)
        suspects = suspects.filter { $0.key.object != object }
        strangers[object] = nil
        strangerCounts[object] = nil
        truncatedStrangers.remove(object)
        guard object != .model else { return try await readModels() }
        var (number, seen, first) = (1, 0, Int?.none)
        while number <= Self.maxPages {
            let page = try await self.page(object, number)
            seen += try await store.see(page.ids, object, walk: id, in: context.services.database)
            read[object] = seen
            let expected = first ?? page.total
            guard page.total >= expected else { return false }
            first = expected
            try await context.progress(
                min(Double(number) / Double(max(page.totalPages, 1)), 1) * 0.5,
                "\(seen) of \(page.total) \(object.rawValue)s were read.")
            guard number < page.totalPages else { return seen >= expected }
            guard !page.ids.isEmpty else { return false }
            number += 1
        }
        return false
    }

    /// One page: notes suspects and strangers on it.
    private mutating func page(
        _ object: DriftObject, _ number: Int
    ) async throws -> (ids: [String], total: Int, totalPages: Int) {
        switch object {
        case .key:
            let page = try await context.litellm.listKeys(page: number, size: Self.pageSize)
            try await compare(page.keys)
            return (page.keys.map(\.hash), page.totalCount, page.totalPages)
        case .user:
            let page = try await context.litellm.listUsers(page: number, size: Self.pageSize)
            try await compare(page.items)
            return (page.items.map(\.id), page.total, page.totalPages)
        case .team:
            let page = try await context.litellm.listTeams(page: number, size: Self.pageSize)
            try await compare(page.items)
            return (page.items.map(\.id), page.total, page.totalPages)
        case .model: return ([], 0, 0)
        }
    }

    /// Rows that LiteLLM does not list are suspects too, unless so many are missing that the list is to be doubted.
    private mutating func weighAbsences(_ object: DriftObject) async throws {
        let database = context.services.database
        if object == .key {
            for id in try await store.lostKeys(limit: Self.suspectLimit, in: database) { suspect(object, id) }
        }
        let (synced, unseen) = try await store.unseen(object, walk: id, in: database)
        guard unseen > 0 else { return }
        let limit = max(1, Int(Double(synced) * context.services.settings.modelShrinkLimit))
        guard read[object] ?? 0 > 0, unseen <= limit else {
            doubts.append(
                "LiteLLM lists \(read[object] ?? 0) \(object.rawValue)s, but not \(unseen) of the \(synced) that it "
                    + "had; that many at once are not believed to be gone.")
            return
        }
        for id in try await store.unseenIds(object, walk: id, limit: Self.suspectLimit, in: database) {
            suspect(object, id)
        }
    }

    /// More keys that bear our mark without a row here than keys that we know are another installation's, or those of
    /// a newer database of ours: they are not to be refused by the hundred.
    mutating func weighUnknownKeys() async throws {
        let unknown = strangerCounts[.key]?[.unknown] ?? 0
        let known = try await store.unseen(.key, walk: id, in: context.services.database).synced
        guard unknown > max(Self.unknownKeyFloor, known) else { return }
        doubts.append(
            "LiteLLM has \(unknown) keys that bear our mark without a row here, and we know \(known): as if another "
                + "installation used it too, or this database were an older one of ours. None of them is revoked.")
    }

    private mutating func suspect(_ object: DriftObject, _ id: String, seen litellmId: String? = nil) {
        let suspect = Suspect(object: object, id: id)
        guard suspects[suspect] != nil || suspects.count < Self.suspectLimit else {
            isTruncated = true
            return
        }
        suspects[suspect, default: []].formUnion(litellmId.map { [$0] } ?? [])
    }

    private mutating func stranger(_ object: DriftObject, _ id: String, _ observation: DriftObservation) {
        strangerCounts[object, default: [:]][observation.kind, default: 0] += 1
        // Those that bear our mark come first.
        let count = strangers[object]?.count ?? 0
        guard count < Self.strangerLimit || observation.kind == .unknown && count < Self.suspectLimit else {
            truncatedStrangers.insert(object)
            return
        }
        strangers[object, default: [:]][id] = observation
    }

    // MARK: Types

    private mutating func compare(_ keys: [LiteLLMKey]) async throws {
        // After the page was read: a row is there before LiteLLM hears of its key.
        let listed = try await PostgresAPIKeyStore().listed(
            hashes: keys.map(\.hash), in: context.services.database)
        let byHash = Dictionary(listed.map { ($0.token.hash, $0) }, uniquingKeysWith: { first, _ in first })
        for key in keys {
            if let ours = byHash[key.hash] {
                if !ours.observations(key).isEmpty { suspect(.key, ours.key.id.text, seen: key.hash) }
            } else if key.status == .active {
                stranger(.key, key.hash, key.stranger)
            }
        }
    }

    private mutating func compare(_ users: [LiteLLMUser]) async throws {
        let ids = users.compactMap { UUID(uuidString: $0.id) }
        let rows = try await PostgresUserStore().find(ids, in: context.services.database)
        let byId = Dictionary(rows.map { ($0.id.text, $0) }, uniquingKeysWith: { first, _ in first })
        for user in users where user.id != Self.builtInUser {
            if let row = byId[user.id] {
                if !row.observations(user).isEmpty { suspect(.user, user.id, seen: user.id) }
            } else {
                stranger(
                    .user, user.id,
                    DriftObservation(
                        user.marker?.resource == .user ? .unknown : .foreign, litellmId: user.id,
                        name: user.email ?? user.alias))
            }
        }
    }

    private mutating func compare(_ found: [LiteLLMTeam]) async throws {
        let (teams, database) = (PostgresTeamStore(), context.services.database)
        for team in found {
            guard let uuid = UUID(uuidString: team.id), let row = try await teams.find(uuid, in: database) else {
                stranger(
                    .team, team.id,
                    DriftObservation(
                        team.marker?.resource == .team ? .unknown : .foreign, litellmId: team.id, name: team.alias))
                continue
            }
            let present = try await teams.provisionedMemberIds(ofTeam: uuid, in: database)
            let departed = try await teams.departedIds(ofTeam: uuid, in: database)
            if !row.observations(team, present: present, departed: departed).isEmpty {
                suspect(.team, team.id, seen: team.id)
            }
        }
    }

    /// Models that are not kept here are LiteLLM's own: the catalogue shows them, and they are no strangers.
    private mutating func readModels() async throws -> Bool {
        let (specs, database) = (PostgresModelSpecStore(), context.services.database)
        let deployments = try await context.litellm.models()
        let kept = try await specs.all(in: database)
        let deleted = try await specs.deleted(among: deployments.map(\.id), in: database)
        _ = try await store.see(deployments.map(\.id), .model, walk: id, in: database)
        read[.model] = deployments.count
        let byDeployment = Dictionary(kept.map { ($0.deploymentId, $0) }, uniquingKeysWith: { first, _ in first })
        let names = Set(kept.filter { $0.wanted == .present }.map(\.modelId))
        for deployment in deployments {
            if let model = byDeployment[deployment.id] {
                if !model.observations(deployment).isEmpty { suspect(.model, model.modelId, seen: deployment.id) }
            } else if deployment.isInDatabase, deleted.contains(deployment.id) {
                suspect(.model, deployment.name, seen: deployment.id)
            } else if deployment.marker?.resource == .model || names.contains(deployment.name) {
                stranger(
                    .model, deployment.id,
                    DriftObservation(
                        deployment.marker?.resource == .model ? .unknown : .foreign, litellmId: deployment.id,
                        name: deployment.name))
            }
        }
        return true
    }
}
