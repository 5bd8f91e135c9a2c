import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// A bench with a team and what tests ask of it.
struct TeamBench: Sendable {
    let bench: KindBench
    let team: Team
    let teams = PostgresTeamStore()

    var administration: TeamAdministration { TeamAdministration(queue: bench.services.queue) }

    /// - Parameter names: of users in LiteLLM; they are no members yet.
    static func run(
        users names: [String] = [], _ body: @Sendable (TeamBench, [User]) async throws -> Void
    ) async throws {
        try await KindBench.run { bench in
            var users: [User] = []
            for name in names { users.append(try await bench.addUser(name, isSynced: true)) }
            let new = NewTeam(
                name: "Research", alias: "research", limits: SpendingLimits(maxBudget: 50, budgetDuration: "monthly"))
            let changed = try await bench.database.withTransaction { transaction in
                try await TeamAdministration(queue: bench.services.queue).create(
                    new, by: bench.actor, in: transaction)
            }
            try await body(TeamBench(bench: bench, team: changed.team), users)
        }
    }

    func change(
        _ body: @escaping @Sendable (TeamAdministration, PostgresTransaction) async throws -> ChangedTeam
    ) async throws -> ChangedTeam {
        try await bench.database.withTransaction { try await body(administration, $0) }
    }

    func add(_ user: User) async throws -> ChangedTeam {
        try await change {
            try await $0.setMember(
                user.id, of: team.id, role: .member, onlyMembers: false, by: bench.actor, in: $1)
        }
    }

    func remove(_ user: User) async throws -> ChangedTeam {
        try await change { try await $0.removeMember(user.id, of: team.id, by: bench.actor, in: $1) }
    }

    /// Who is in LiteLLM's team, by our doing.
    var members: [String] {
        let members = bench.litellm.state.teams[team.id.text]?["members_with_roles"]?.arrayValue ?? []
        return members.compactMap { $0["user_id"]?.stringValue }.filter { $0 != "default_user_id" }
    }

    func stored() async throws -> Team { try #require(try await teams.find(team.id, in: bench.database)) }

    func departures() async throws -> [UUID] { try await teams.departedIds(ofTeam: team.id, in: bench.database) }

    func teamJob() async throws -> Int64 { try #require(try await bench.jobs(TeamEnsure.self).first) }
}

/// LiteLLM in memory, with something that happens before each request arrives.
private struct InterruptedLiteLLM: HTTPTransport {
    let litellm: FakeLiteLLM
    let before: @Sendable (HTTPClientRequest) async throws -> Void

    func send(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        try await before(request)
        return try await litellm.send(request)
    }
}

extension JobContext {
    /// The same attempt, with something that happens before each of its calls to LiteLLM.
    func calling(
        on litellm: FakeLiteLLM, _ before: @escaping @Sendable (HTTPClientRequest) async throws -> Void
    ) -> JobContext {
        let client = LiteLLMClient(
            transport: InterruptedLiteLLM(litellm: litellm, before: before),
            settings: LiteLLMSettings(baseURL: "http://litellm.test", apiKey: Secret("sk-master")))
        return JobContext(
            id: id, attempt: attempt, maxAttempts: maxAttempts, token: token, requester: requester,
            services: JobServices(
                database: services.database, litellm: client, sealer: services.sealer, queue: services.queue,
                settings: services.settings),
            store: store, kind: kind, gate: nil, baseLogger: baseLogger)
    }
}
