import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite(.needsDatabase) struct KeyRaceTests {
    @Test func revokingInTheMiddleOfACreateEndsDead() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            for round in 1...8 {
                let created = try await bench.addKey(user)
                let context = try await bench.claim(created.job.id)
                // Both at once, wherever each of them happens to be.
                let create = Task { try await KeyCreate(keyId: created.key.id).run(in: context) }
                let revoke = Task { try await bench.revoke(created) }
                let job = try #require(try await revoke.value)
                _ = try await create.value
                try await bench.finish(created.job.id)
                _ = try await bench.attempt(job.id)
                let key = bench.litellm.state.keys[created.key.hash]
                #expect(key == nil || key?["blocked"] == true, "round \(round)")
                let row = try await bench.row(created)
                #expect(row.revokedAt != nil)
                #expect(row.sync.isSynced)
                try await bench.finish(job.id)
            }
        }
    }

    /// The API locks the key's row and then the jobs on it; so must a handler, or they would wait for each other.
    @Test func revokingWhileACreateCommitsWaitsForNobodyInACircle() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            let created = try await bench.addKey(user)
            let context = try await bench.claim(created.job.id)
            let rowIsLocked = AsyncStream<Void>.makeStream()
            let handlerIsThere = AsyncStream<Void>.makeStream()
            let api = Task {
                try await bench.database.withTransaction { transaction in
                    _ = try await bench.keys.lock(created.key.id, in: transaction)
                    rowIsLocked.continuation.yield()
                    for await _ in handlerIsThere.stream { break }
                    return try await bench.provisioning.revoke(
                        created.key.id, reason: .revoked, by: bench.actor, in: transaction)
                }
            }
            for await _ in rowIsLocked.stream { break }
            let began = try await context.transaction { transaction in
                handlerIsThere.continuation.yield()
                return try await bench.keys.beginCreate(created.key.id, within: .seconds(1), in: transaction)
            }
            _ = try await api.value
            #expect(began == nil)
        }
    }
}
