import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite(.needsDatabase) struct KeyProvisioningTests {
    @Test func storesRowSecretJobsAndAudit() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser()
            let created = try await bench.addKey(user) { request in
                request.limits.spending.maxBudget = 5
                request.metadata = ["project": "x"]
                request.tags = ["a", "b"]
            }
            let row = try await bench.row(created)
            #expect(row.isUsable(at: Date()))
            #expect(row.revokedAt == nil)
            #expect(row.sync.status == .pending)
            #expect(row.sync.lastJobId == created.job.id)
            #expect(row.modelIds == ["gpt"])
            #expect(row.limits.spending.maxBudget == 5)
            #expect(row.metadata == ["project": "x"])
            #expect(row.tags == ["a", "b"])
            #expect(row.teamId == Team.defaultId)
            #expect(row == created.key)
            #expect(row.hash == APIKeySecret.hash(of: created.secret))
            #expect(try await bench.keys.find(hash: row.hash, in: bench.database)?.id == row.id)

            let sealed = try #require(
                try await PostgresSealedSecretStore().get(.apiKeyCreate, rowId: row.id.text, in: bench.database))
            let opened = try bench.services.sealer.open(sealed, purpose: "api_key.create", rowId: row.id.text)
            #expect(opened == created.secret)

            // The key waits for the user, the user for the team.
            let job = try #require(try await bench.services.queue.job(id: created.job.id))
            #expect(job.state == .blocked)
            #expect(job.resource == JobResource(type: "api_key", id: row.id.text))
            #expect(job.requester == JobRequester(id: User.systemId.text, requestId: "request-1"))
            #expect(try await bench.jobs(TeamEnsure.self).count == 1)
            #expect(try await bench.jobs(UserProvision.self).count == 1)

            let audit = try await PostgresAuditStore().entries(
                resourceType: "api_key", resourceId: row.id.text, limit: 10, in: bench.database)
            #expect(audit.map(\.action) == ["API_KEY_CREATE"])
            #expect(audit.first?.jobId == created.job.id)
        }
    }

    @Test func waitsForNobodyWhenUserAndTeamAreThere() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            let created = try await bench.addKey(user)
            #expect(created.job.state == .ready)
            #expect(try await bench.jobs(UserProvision.self).isEmpty)
            #expect(try await bench.jobs(TeamEnsure.self).isEmpty)
        }
    }

    @Test func keysOfOneUserShareTheUsersJob() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser()
            for _ in 1...3 { _ = try await bench.addKey(user) }
            #expect(try await bench.jobs(UserProvision.self).count == 1)
            #expect(try await bench.jobs(TeamEnsure.self).count == 1)
            try await bench.runAll()
            #expect(bench.litellm.state.keys.count == 3)
        }
    }

    @Test func holdsTheLimitOfActiveKeysUnderConcurrency() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            let outcomes = await withTaskGroup(of: Result<Void, any Error>.self) { group in
                for _ in 1...25 {
                    group.addTask {
                        do { return .success(_ = try await bench.addKey(user)) } catch { return .failure(error) }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            let refused = outcomes.compactMap { outcome -> ProvisioningError.Code? in
                guard case .failure(let error) = outcome else { return nil }
                return (error as? ProvisioningError)?.code
            }
            #expect(refused == Array(repeating: .keyLimitReached, count: 15))
            #expect(try await bench.keys.usableCount(ofUser: user.id, in: bench.database) == 10)
            #expect(try await bench.jobs(KeyCreate.self).count == 10)
        }
    }

    @Test func revokedFailedAndExpiredKeysFreeTheirPlace() async throws {
        var settings = ProvisioningSettings()
        settings.maxActiveKeysPerUser = 3
        try await KindBench.run(settings: settings) { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            let revoked = try await bench.addKey(user)
            let failed = try await bench.addKey(user)
            let expired = try await bench.addKey(user) { $0.expiresAt = Date() + 3600 }
            await #expect(throws: ProvisioningError.self) { try await bench.addKey(user) }

            _ = try await bench.revoke(revoked)
            _ = try await bench.addKey(user)
            try await bench.end(failed.job.id, as: .failed)
            #expect(try await bench.row(failed).neverCreated)
            #expect(try await !bench.row(failed).isUsable(at: Date()))
            _ = try await bench.addKey(user)
            try await bench.database.query(
                "update api_keys set expires_at = now() - interval '1 second' where id = \(expired.key.id)")
            _ = try await bench.addKey(user)
            await #expect(throws: ProvisioningError.self) { try await bench.addKey(user) }
        }
    }

    @Test func refusesWhatLiteLLMOrTheCatalogueWouldNotTake() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            try await bench.addModel("gone")
            try await bench.addModel("secret")
            try await bench.database.query("update models set availability = 'unavailable' where id = 'gone'")
            let user = try await bench.addUser()
            let cases: [(ProvisioningError.Code, String?, @Sendable (inout KeyCreateRequest) -> Void)] = [
                (.noModels, "modelIds", { $0.modelIds = [] }),
                (.unknownModels, "modelIds", { $0.modelIds = ["gpt", "nope"] }),
                (.unavailableModels, "modelIds", { $0.modelIds = ["gpt", "gone"] }),
                (.notSubscribed, "modelIds", { $0.modelIds = ["gpt", "secret"] }),
                (.expiryInPast, "expiresAt", { $0.expiresAt = Date() - 1 }),
                (.invalidLimit, "maxBudget", { $0.limits.spending.maxBudget = -1 }),
                (.invalidLimit, "budgetDuration", { $0.limits.spending.budgetDuration = "sometimes" }),
                (.invalidLimit, "modelMaxBudget", { $0.limits.modelMaxBudget = ["gpt": 5] }),
                (.invalidLimit, "modelRpmLimit", { $0.limits.modelRpmLimit = ["gpt": "many"] }),
                (.teamNotFound, "teamId", { $0.teamId = UUID() }),
                (.userNotFound, "userId", { $0.userId = UUID() }),
            ]
            try await bench.database.subscribe(user.id, to: ["gpt", "gone"])
            try await bench.database.subscribe(user.id, to: ["secret"], status: "pending")
            for (code, field, change) in cases {
                let error = await #expect(throws: ProvisioningError.self) {
                    try await bench.addKey(user, subscribes: false, change: change)
                }
                #expect(error?.code == code)
                #expect(error?.field == field)
            }
            try await bench.database.query("update users set is_active = false where id = \(user.id)")
            let error = await #expect(throws: ProvisioningError.self) { try await bench.addKey(user) }
            #expect(error?.code == .userInactive)
            // Nothing was left behind by any of them.
            let counts = try await bench.database.query(
                "select (select count(*) from api_keys), (select count(*) from sealed_secrets)"
            ).one(Int.self, Int.self)
            #expect(counts == (0, 0))
        }
    }

    @Test func revokingRefusesAtOnceAndPutsOtherWorkAside() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser()
            let created = try await bench.addKey(user)
            let job = try #require(try await bench.revoke(created))
            #expect(job.superseded == [created.job.id])
            let row = try await bench.row(created)
            #expect(!row.isActive)
            #expect(row.revokeRequestedAt != nil)
            #expect(row.revokedAt == nil)
            #expect(row.isDeleted)
            #expect(row.sync.versionWanted == 2)
            #expect(row.sync.lastJobId == job.id)
            let listed = try await bench.keys.list(APIKeyFilter(), in: bench.database)
            #expect(listed.total == 0)

            // Asking again finds the same job, and does not stop it.
            let again = try #require(try await bench.revoke(created, reason: .revoked))
            #expect(again.id == job.id)
            #expect(again.coalesced)
            #expect(again.superseded.isEmpty)
            #expect(try await bench.row(created).sync.versionWanted == 2)

            try await bench.runAll()
            #expect(try await bench.revoke(created) == nil)
            await #expect(throws: ProvisioningError.self) {
                try await bench.database.withTransaction { transaction in
                    try await bench.provisioning.revoke(UUID(), reason: .deleted, by: .system, in: transaction)
                }
            }
        }
    }
}
