import Foundation
import FoundationNetworking
import Shared
import TestSupport
import Testing

@testable import Jobs

/// Teams that go, and addresses that LiteLLM knows under another id.
extension KillScenario {
    static let people: [KillScenario] = [
        KillScenario(TeamDelete.self, "a team out of use", calls: 4) { real in
            let teams = TeamAdministration(queue: real.bench.services.queue)
            let team = try await real.bench.database.withTransaction { transaction in
                try await teams.create(
                    NewTeam(name: "kill \(UUID().text)"), by: real.bench.actor, in: transaction
                ).team
            }
            try await real.bench.runAll()
            let deleted = try await real.bench.database.withTransaction { transaction in
                try await teams.delete(team.id, by: real.bench.actor, in: transaction)
            }
            return Victim(jobId: try #require(deleted.job).id) {
                let found = try await real.litellm.team(id: team.id.text)
                let row = try await PostgresTeamStore().find(team.id, in: real.bench.database)
                return RealBench.wrong([
                    "LiteLLM": found == nil, "row": row?.isActive == false && row?.sync.isSynced == true,
                ])
            }
        },
        KillScenario(UserResetSpend.self, "somebody who has spent", calls: 3) { real in
            let user = try await real.addSpender(6)
            return Victim(jobId: try await real.bench.resetSpend(user)) {
                try await real.disagreements(ofSpend: user, 0)
            }
        },
        KillScenario(UsersSnapshot.self, "the spend of users", calls: 1) { real in
            let user = try await real.addSpender(4)
            let job = try await real.bench.services.queue.enqueue(UsersSnapshot())
            return Victim(jobId: job.id) { try await real.disagreements(ofSpend: user, 4) }
        },
        KillScenario(UserRealign.self, "somebody whose address another user has", calls: 10) { real in
            let (user, other, hash) = try await real.addConflict()
            let job = try await real.bench.database.withTransaction { transaction in
                try await UserRealignment(queue: real.bench.services.queue).decide(
                    .adopt, for: user.id, reason: "A test.", by: real.bench.actor, in: transaction
                ).job
            }
            return Victim(jobId: job.id) {
                let ours = try await real.litellm.user(id: user.id.text)
                let theirs = try await real.litellm.user(id: other)
                let key = try await real.litellm.keyInfo(hash: hash)
                let row = try #require(try await real.bench.users.find(user.id, in: real.bench.database))
                return RealBench.wrong([
                    "address": ours?.email?.lowercased() == user.email.lowercased() && theirs?.email != ours?.email,
                    "key": key?.userId == user.id.text && key?.status == .active, "row": row.sync.isSynced,
                ])
            }
        },
        KillScenario(UserRealignPreview.self, "what a decision would change", calls: 3) { real in
            let (user, other, hash) = try await real.addConflict()
            let job = try await real.bench.database.withTransaction { transaction in
                try await UserRealignment(queue: real.bench.services.queue).preview(
                    .adopt, for: user.id, by: real.bench.actor, in: transaction)
            }
            return Victim(jobId: job.id) {
                let theirs = try await real.litellm.user(id: other)
                return RealBench.wrong([
                    "address": theirs?.email?.lowercased() == user.email.lowercased(),
                    "key": try await real.litellm.keyInfo(hash: hash)?.userId == other,
                ])
            }
        },
    ]
}

extension RealBench {
    /// A user who has spent so much.
    func addSpender(_ spend: Decimal) async throws -> User {
        let user = try await addUser()
        var change = LiteLLMUserChange()
        change.spend = spend
        try await litellm.updateUser(id: user.id.text, change)
        return user
    }

    func disagreements(ofSpend user: User, _ spend: Decimal) async throws -> [String] {
        let row = try await bench.users.spend(of: user.id, in: bench.database)
        return Self.wrong([
            "LiteLLM": try await litellm.user(id: user.id.text)?.spend == spend, "row": row?.amount == spend,
        ])
    }

    /// A user of ours whose address a user of LiteLLM's has that somebody else made, with a key.
    func addConflict() async throws -> (user: User, other: String, hash: String) {
        // The first user brings the team along.
        _ = try await addUser()
        let name = "a\(UUID().text)"
        let other = "other-\(name)"
        _ = try await foreignCall(
            "/user/new",
            ["user_id": .string(other), "user_email": .string("\(name)@example.com"), "auto_create_key": false])
        let key = try await foreignCall("/key/generate", ["user_id": .string(other), "models": [.string(model)]])
        let secret = try #require(key["key"]?.stringValue)
        let user = try await bench.addUser(name)
        let provision = try #require(try await bench.jobs(UserProvision.self).last)
        _ = await #expect(throws: JobFailure.self) { try await bench.attempt(provision) }
        try await bench.end(provision, as: .failed, code: "user_email_taken")
        return (user, other, sha256Hex(secret))
    }

    /// What somebody else does in LiteLLM, without our marker.
    func foreignCall(_ path: String, _ body: JSONValue) async throws -> JSONValue {
        let settings = try #require(RealLiteLLM.settings)
        var request = URLRequest(url: try #require(URL(string: settings.baseURL + path)))
        request.httpMethod = "POST"
        request.setValue("Bearer \(settings.apiKey.reveal())", forHTTPHeaderField: "authorization")
        request.setValue("application/json", forHTTPHeaderField: "content-type")
        request.httpBody = Data(body.encodedString().utf8)
        let (data, response) = try await URLSession.shared.data(for: request)
        #expect((response as? HTTPURLResponse)?.statusCode == 200, "\(path)")
        return try JSON.decoder.decode(JSONValue.self, from: data)
    }
}
