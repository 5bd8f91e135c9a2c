import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// A job to be killed, and what has to hold when it was taken over and has come to its end.
struct KillScenario: Sendable, CustomTestStringConvertible {
    /// The kind's name.
    let kind: String
    /// What it has to do.
    let task: String
    /// How many calls it makes when nothing goes wrong.
    let calls: Int
    /// How many of them it dies at; nil for all.
    let deaths: Int?
    /// Makes a new job, so that one that died does not help the next.
    let prepare: @Sendable (RealBench) async throws -> Victim

    /// The job, and in what LiteLLM and our rows disagree; nothing when they agree.
    struct Victim: Sendable {
        let jobId: Int64
        let disagreements: @Sendable () async throws -> [String]
    }

    var testDescription: String { "\(kind): \(task)" }

    init(
        _ kind: any JobKind.Type, _ task: String, calls: Int, deaths: Int? = nil,
        _ prepare: @escaping @Sendable (RealBench) async throws -> Victim
    ) {
        self.kind = kind.name
        self.task = task
        self.calls = calls
        self.deaths = deaths
        self.prepare = prepare
    }

    /// One row for each way in which a kind changes LiteLLM, or reads it.
    static let all = provisioning + changesOfKeys + models + people + drift

    private static let provisioning: [KillScenario] = [
        KillScenario(TeamEnsure.self, "a new team", calls: 3) { real in
            let team = try await real.addTeam()
            return Victim(jobId: try await real.ensureTeam(team)) {
                try await real.disagreements(ofTeam: team, done: 1)
            }
        },
        KillScenario(TeamEnsure.self, "a team whose limits changed", calls: 3) { real in
            let team = try await real.addTeam()
            let made = try await real.ensureTeam(team)
            try await real.bench.attempt(made)
            try await real.bench.finish(made)
            try await real.bench.database.query(
                """
                update teams set max_budget = 60, version_wanted = version_wanted + 1, sync_status = 'pending'
                where id = \(team)
                """)
            return Victim(jobId: try await real.ensureTeam(team)) {
                try await real.disagreements(ofTeam: team, done: 2)
            }
        },
        KillScenario(UserProvision.self, "a new user", calls: 6) { real in
            // The first user brings the team along.
            _ = try await real.addUser()
            let user = try await real.bench.addUser("u\(UUID().text)")
            let jobId = try #require(try await real.bench.jobs(UserProvision.self).last)
            return Victim(jobId: jobId) { try await real.disagreements(ofUser: user.id, done: 1) }
        },
        KillScenario(UserProvision.self, "a user whose limits changed", calls: 4) { real in
            let user = try await real.addUser()
            try await real.bench.database.query(
                """
                update users set max_budget = 7, rpm_limit = 5, version_wanted = version_wanted + 1,
                    sync_status = 'pending'
                where id = \(user.id)
                """)
            let job = try await real.bench.database.withTransaction { transaction in
                try await UserProvisioning(queue: real.bench.services.queue).ensure(
                    user.id, requester: JobRequester(id: nil), in: transaction)
            }
            return Victim(jobId: try #require(job).id) { try await real.disagreements(ofUser: user.id, done: 2) }
        },
        KillScenario(KeyCreate.self, "a new key", calls: 2) { real in
            let created = try await real.addKey(try await real.addUser())
            return Victim(jobId: created.job.id) {
                try await real.disagreements(of: created, .active, done: "API_KEY_PROVISIONED")
            }
        },
        KillScenario(KeyVerify.self, "a create whose outcome nobody saw", calls: 1) { real in
            let created = try await real.addKey(try await real.addUser())
            let spec = try created.key.litellmSpec(intent: created.job.id, now: Date())
            try await real.litellm.generateKey(spec, secret: created.secret)
            try await real.bench.finish(created.job.id)
            let job = try await real.bench.services.queue.enqueue(KeyVerify(keyId: created.key.id))
            return Victim(jobId: job.id) {
                try await real.disagreements(of: created, .active, done: "API_KEY_PROVISIONED")
            }
        },
        KillScenario(KeyRevoke.self, "a key that works", calls: 3) { real in
            let created = try await real.addLiveKey(try await real.addUser())
            let job = try #require(try await real.bench.revoke(created))
            return Victim(jobId: job.id) {
                try await real.disagreements(of: created, .blocked, done: "API_KEY_REVOKED")
            }
        },
        KillScenario(KeyRevoke.self, "a key that a late create may still bring", calls: 3) { real in
            let created = try await real.addKey(try await real.addUser())
            try await real.bench.database.query(
                """
                update api_keys set create_deadline_at = now() + interval '30 seconds' where id = \(created.key.id)
                """)
            let job = try #require(try await real.bench.revoke(created))
            return Victim(jobId: job.id) {
                try await real.disagreements(of: created, .blocked, done: "API_KEY_REVOKED")
            }
        },
        KillScenario(KeyDelete.self, "a revoked key", calls: 3) { real in
            let created = try await real.addLiveKey(try await real.addUser())
            let revoke = try #require(try await real.bench.revoke(created))
            let revoked = try #require(try await real.bench.attempt(revoke.id) as? KeyRevoke.Output)
            try await real.bench.finish(revoke.id)
            try await real.bench.database.query(
                """
                update api_keys set create_deadline_at = now() - interval '1 hour' where id = \(created.key.id)
                """)
            return Victim(jobId: try #require(revoked.deletionJobId)) {
                try await real.disagreements(of: created, .deleted, done: "API_KEY_REMOVED")
            }
        },
        KillScenario(KeyAccess.self, "the key of somebody who was deactivated", calls: 3) { real in
            let user = try await real.addUser()
            let created = try await real.addLiveKey(user)
            return Victim(jobId: try await real.bench.setActive(user, false, only: created)) {
                try await real.disagreements(of: created, .blocked, done: "API_KEY_BLOCKED")
            }
        },
        KillScenario(KeyAccess.self, "the key of somebody who came back", calls: 3) { real in
            let user = try await real.addUser()
            let created = try await real.addLiveKey(user)
            try await real.bench.block(created, of: user)
            return Victim(jobId: try await real.bench.setActive(user, true, only: created)) {
                try await real.disagreements(of: created, .active, done: "API_KEY_UNBLOCKED")
            }
        },
        KillScenario(ModelSync.self, "the list of models", calls: 1) { real in
            let jobId = try await real.bench.services.queue.enqueue(ModelSync()).id
            return Victim(jobId: jobId) { try await real.disagreementsOfModels(jobId) }
        },
        KillScenario(UsageFetchDay.self, "today", calls: 1) { real in
            let today = UTCDay(containing: Date())
            let jobId = try await real.bench.services.queue.enqueue(UsageFetchDay(date: today)).id
            return Victim(jobId: jobId) { try await real.disagreements(ofUsage: today, jobId) }
        },
        KillScenario(UsageRequestLog.self, "the log of requests", calls: 4) { real in
            for table: PostgresQuery in ["delete from usage_logs", "delete from usage_log_state"] {
                try await real.bench.database.query(table)
            }
            let jobId = try await real.bench.services.queue.enqueue(UsageRequestLog()).id
            return Victim(jobId: jobId) { try await real.disagreementsOfRequests(jobId) }
        },
    ]
}
