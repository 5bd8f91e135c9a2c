import Foundation
import Jobs
import Shared

extension RESTOperator {
    func reconcile(scope: [ReconcileScope]?, dryRun: Bool, policy: ReconcilePolicy) async throws -> JobNumber {
        var body: [String: JSONValue] = ["dryRun": .bool(dryRun)]
        if let scope { body["scope"] = .array(scope.map { .string($0.rawValue) }) }
        let named = DriftKind.allCases.filter { ReconcilePolicy.choices(for: $0) != nil }
        body["policy"] = .object(
            Dictionary(uniqueKeysWithValues: named.map { ($0.rawValue, .string(policy.action(for: $0).rawValue)) }))
        let answer: Started = try await send(.post, "/reconcile", body: .object(body))
        return answer.job.id
    }

    func findings(_ filter: DriftFilter) async throws -> DriftPage {
        var query = [("page", "\(filter.page.number)"), ("limit", "\(filter.page.size)")]
        query += filter.objects.map { ("type", $0.rawValue) }
        query += filter.kinds.map { ("kind", $0.rawValue) }
        query += filter.states.map { ("state", $0.rawValue) }
        if let walk = filter.reconciliationId { query.append(("reconciliationId", "\(walk)")) }
        return try await send(.get, "/drift", query: query)
    }

    func decide(_ id: Int64, _ decision: DriftDecision) async throws -> DriftReport {
        switch decision {
        case .repair: return try await send(.post, "/drift/\(id)/repair", body: [:])
        case .ignore(let reason):
            return try await send(.post, "/drift/\(id)/ignore", body: Self.body(["reason": reason]))
        case .revoke(let confirm):
            return try await send(.post, "/drift/\(id)/revoke", body: Self.body(["confirm": confirm]))
        case .adopt(let userId, let name, let subscribe, let replaceMetadata):
            var body = Self.body(["userId": userId.text, "name": name]).objectValue ?? [:]
            body["subscribe"] = .bool(subscribe)
            body["replaceMetadata"] = .bool(replaceMetadata)
            return try await send(.post, "/drift/\(id)/adopt", body: .object(body))
        }
    }

    private static func body(_ members: [String: String?]) -> JSONValue {
        .object(members.compactMapValues { $0.map(JSONValue.string) })
    }
}
