import Foundation
import Shared
import TestSupport
import Testing

@Suite(.needsDatabase) struct UserStoreTests {
    private let users = PostgresUserStore()

    @Test func keepsEveryField() async throws {
        try await withTestDatabase { test in
            let new = NewUser(
                id: UUID(), username: "Alice", email: "Alice@example.com", fullName: "Alice A.",
                oauthProvider: "github",
                oauthId: "17", roles: [.admin, .adminReadonly], isActive: false,
                limits: SpendingLimits(maxBudget: 5, budgetDuration: "30d", tpmLimit: 7, rpmLimit: 8))
            let stored = try await test.client.withTransaction { try await users.insert(new, in: $0) }
            #expect(try await users.find(new.id, in: test.client) == stored)
            #expect(try await users.find(provider: "github", oauthId: "17", in: test.client) == stored)
            #expect(try await users.find(email: "ALICE@EXAMPLE.COM", in: test.client) == stored)
            #expect(stored.roles == [.admin, .adminReadonly])
            #expect(stored.limits == new.limits)
            #expect(!stored.isActive)
            #expect(stored.sync == SyncState(status: .pending))
            try await test.client.query("update users set roles = '{adminReadonly,wizard,user}' where id = \(new.id)")
            #expect(try await users.find(new.id, in: test.client)?.roles == [.adminReadonly, .user])
            try await users.recordLogin(new.id, in: test.client)
            #expect(try await users.find(new.id, in: test.client)?.lastLoginAt != nil)
        }
    }

    @Test func theSystemIsAUserWhoCannotSignIn() async throws {
        try await withTestDatabase { test in
            let system = try #require(try await users.find(User.systemId, in: test.client))
            #expect(!system.isActive)
            #expect(system.roles.isEmpty)
            let team = try #require(try await PostgresTeamStore().find(Team.defaultId, in: test.client))
            #expect(team.createdBy == system.id)
            #expect(team.limits.maxBudget == 10000)
            #expect(team.allowedModels.isEmpty)
            #expect(team.metadata == ["default_team": true])
        }
    }

    @Test func everybodyIsInTheDefaultTeam() async throws {
        try await withTestDatabase { test in
            let user = try await test.user("alice")
            let teams = PostgresTeamStore()
            #expect(try await teams.teams(ofUser: user.id, in: test.client).map(\.id) == [Team.defaultId])
            let other = UUID()
            try await test.client.query("insert into teams (id, name) values (\(other), 'A team')")
            #expect(try await test.client.query(teams.findQuery(other, ofUser: user.id)).isEmpty)
            try await test.client.withTransaction { transaction in
                for _ in 1...2 { try await teams.addMember(userId: user.id, teamId: other, in: transaction) }
            }
            #expect(try await teams.teams(ofUser: user.id, in: test.client).map(\.id) == [other, Team.defaultId])
            #expect(try await test.client.query(teams.findQuery(other, ofUser: user.id)).count == 1)
        }
    }

    @Test(arguments: [
        ("daily", "1d"), ("weekly", "7d"), ("monthly", "30d"), ("yearly", "365d"), ("30d", "30d"), ("12h", "12h"),
        ("1mo", "1mo"), ("90s", "90s"), ("often", nil), ("", nil), ("d", nil), ("0d", nil), ("-1d", nil),
        ("1.5d", nil), ("1d ", nil), ("99999999d", nil),
    ])
    func spellsBudgetPeriodsAsLiteLLMDoes(text: String, expected: String?) {
        #expect(BudgetDuration.litellm(text) == expected)
    }
}

@Suite(.needsDatabase) struct SealedSecretStoreTests {
    private let secrets = PostgresSealedSecretStore()

    @Test func livesUntilItsTime() async throws {
        try await withTestDatabase { test in
            func get() async throws -> [UInt8]? { try await secrets.get(.apiKeyCreate, rowId: "r", in: test.client) }
            func deleteLater(_ delay: Duration) async throws {
                try await test.client.withTransaction { transaction in
                    try await secrets.deleteLater(.apiKeyCreate, rowId: "r", after: delay, in: transaction)
                }
            }
            #expect(try await get() == nil)
            try await test.client.withTransaction { transaction in
                try await secrets.put([1, 2, 0, 255], for: .apiKeyCreate, rowId: "r", in: transaction)
            }
            #expect(try await get() == [1, 2, 0, 255])
            try await deleteLater(.seconds(60))
            #expect(try await get() != nil)
            #expect(try await secrets.purgeDue(limit: 10, in: test.client) == 0)
            // Due: not given out any more, even before the purge.
            try await deleteLater(.zero)
            #expect(try await get() == nil)
            // A later time does not bring it back.
            try await deleteLater(.seconds(60))
            #expect(try await get() == nil)
            #expect(try await secrets.purgeDue(limit: 10, in: test.client) == 1)
            #expect(try await secrets.purgeDue(limit: 10, in: test.client) == 0)
        }
    }

    @Test func purgesInBatches() async throws {
        try await withTestDatabase { test in
            try await test.client.query(
                """
                insert into sealed_secrets (purpose, row_id, sealed, delete_after)
                select 'api_key.create', n::text, '\\x00', now() - interval '1 second' from generate_series(1, 5) as n
                """)
            #expect(try await secrets.purgeDue(limit: 3, in: test.client) == 3)
            #expect(try await secrets.purgeDue(limit: 3, in: test.client) == 2)
        }
    }
}

@Suite(.needsDatabase) struct AuditStoreTests {
    @Test func appendsAndNeverChanges() async throws {
        try await withTestDatabase { test in
            let entry = AuditEntry(
                actor: AuditActor(
                    userId: User.systemId, name: "alice", ipAddress: "::1", userAgent: "curl", requestId: "r-1"),
                action: "A", resourceType: "thing", resourceId: "1", oldValues: ["a": 1], newValues: ["a": nil],
                jobId: 5, success: false, errorMessage: "No.", metadata: ["b": 2])
            let store = PostgresAuditStore()
            try await store.append(entry, in: test.client)
            try await store.append(
                AuditEntry(actor: .system, action: "B", resourceType: "thing", resourceId: "1"), in: test.client)
            let entries = try await store.entries(resourceType: "thing", resourceId: "1", limit: 5, in: test.client)
            #expect(entries.map(\.action) == ["B", "A"])
            #expect(entries.last == entry)
            for change: PostgresQuery in ["update audit_logs set action = 'C'", "delete from audit_logs"] {
                let error = await #expect(throws: PostgresError.self) { try await test.client.query(change) }
                #expect(error?.sqlState == "42501")
            }
        }
    }
}
