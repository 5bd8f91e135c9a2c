import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Audit of outcomes", .needsDatabase, .hangGuard)
struct AuditOutcomeTests {
    private let person = AuditActor(
        userId: UUID(), name: "alice", ipAddress: "192.0.2.9", userAgent: "browser", requestId: "request-9")

    private func log(_ type: String, _ id: UUID, _ bench: KindBench) async throws -> [AuditEntry] {
        try await PostgresAuditStore().entries(resourceType: type, resourceId: id.text, limit: 50, in: bench.database)
    }

    @Test("a key's steps name the person, address and client of the request")
    func key() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            try await bench.database.subscribe(user.id, to: ["gpt"])
            let request = KeyCreateRequest(userId: user.id, modelIds: ["gpt"])
            let created = try await bench.database.withTransaction {
                try await bench.provisioning.create(request, by: person, in: $0)
            }
            for _ in 1...2 { _ = try await bench.attempt(created.job.id) }
            let entries = try await log("api_key", created.key.id, bench)
            #expect(entries.map(\.action) == ["API_KEY_PROVISIONED", "API_KEY_CREATE"])
            #expect(entries.allSatisfy { $0.actor == person && $0.success && $0.jobId == created.job.id })
        }
    }

    @Test("a job that ended without success says so, and why", arguments: [JobState.failed, .cancelled])
    func failure(state: JobState) async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            try await bench.database.subscribe(user.id, to: ["gpt"])
            let request = KeyCreateRequest(userId: user.id, modelIds: ["gpt"])
            let created = try await bench.database.withTransaction {
                try await bench.provisioning.create(request, by: person, in: $0)
            }
            try await bench.end(created.job.id, as: state, code: "tired")
            let entry = try #require(try await log("api_key", created.key.id, bench).first)
            #expect(entry.action == "API_KEY_PROVISION_FAILED" && !entry.success)
            #expect(entry.errorMessage == "No more." && entry.jobId == created.job.id)
            #expect(entry.metadata["state"]?.stringValue == state.rawValue && entry.metadata["code"] == "tired")
            #expect(entry.actor == person)
        }
    }

    @Test("users and teams are written down once for each version, and when they fail")
    func userAndTeam() async throws {
        try await KindBench.run { bench in
            let user = try await bench.addUser()
            let team = try #require(try await bench.jobs(TeamEnsure.self).first)
            for _ in 1...2 { _ = try await bench.attempt(team) }
            try await bench.finish(team)
            let job = try #require(try await bench.jobs(UserProvision.self).first)
            for _ in 1...2 { _ = try await bench.attempt(job) }
            #expect(try await log("team", Team.defaultId, bench).map(\.action) == ["TEAM_PROVISIONED"])
            let entries = try await log("user", user.id, bench)
            #expect(entries.map(\.action) == ["USER_PROVISIONED", "USER_CREATE"])
            #expect(entries[0].newValues?["created"] == true)
            try await bench.end(job, as: .failed)
            #expect(try await log("user", user.id, bench).first?.action == "USER_PROVISION_FAILED")
        }
    }

    @Test("the request of somebody else who uses the same id lends nothing")
    func otherPerson() async throws {
        try await KindBench.run { bench in
            let audit = PostgresAuditStore()
            try await audit.append(
                AuditEntry(actor: person, action: "A", resourceType: "user", resourceId: "1"), in: bench.database)
            let other = AuditActor(userId: UUID(), name: "bob", requestId: person.requestId)
            try await audit.appendOutcome(
                AuditEntry(actor: other, action: "B", resourceType: "user", resourceId: "1"), in: bench.database)
            let entries = try await audit.entries(
                resourceType: "user", resourceId: "1", limit: 1, in: bench.database)
            #expect(entries.first?.actor == other)
        }
    }

    @Test("workers make the partitions of the months to come, and rows fall into them")
    func partitions() async throws {
        try await withTestDatabase { test in
            // As after a month without a worker: the last one is not there yet.
            try await test.client.query(
                """
                do $$ begin execute 'drop table audit_logs_' || to_char(
                    date_trunc('month', now() at time zone 'UTC') + interval '2 months', 'YYYYMM'); end $$
                """)
            try await PostgresJobStore().ensurePartitions(in: test.client)
            for offset in 0...2 {
                try await test.client.query(
                    """
                    insert into audit_logs (created_at, actor, action, resource_type)
                    values ((date_trunc('month', now() at time zone 'UTC')
                        + make_interval(months => \(Int32(offset)), days => 14)) at time zone 'UTC', 'a', 'A', 'user')
                    """)
            }
            let placed = try await test.client.query(
                """
                select tableoid::regclass::text = 'audit_logs_' || to_char(created_at at time zone 'UTC', 'YYYYMM')
                from audit_logs
                """
            ).map { try $0.decode(Bool.self) }
            #expect(placed == [true, true, true])
            await #expect(throws: PostgresError.self) { try await test.client.query("delete from audit_logs") }
            await #expect(throws: PostgresError.self) {
                try await test.client.query("update audit_logs set actor = 'b'")
            }
        }
    }
}
