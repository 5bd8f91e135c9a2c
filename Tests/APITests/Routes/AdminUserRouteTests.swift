import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Users, for administrators", .needsDatabase, .hangGuard)
struct AdminUserRouteTests {
    private static let prefer = HTTPFields([HTTPField(name: .prefer, value: "wait=20")])

    private func path(_ user: User, _ more: String = "") -> String { "/api/v1/admin/users/\(user.id.text)\(more)" }

    private func actions(_ user: User, _ api: APIHarness) async throws -> [String] {
        try await PostgresAuditStore().entries(
            resourceType: "user", resourceId: user.id.text, limit: 20, in: api.database.client
        ).map(\.action)
    }

    @Test("are listed in both of LiteMaaS's shapes at once")
    func list() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            for number in 1...22 { try await api.addUser("user\(number)") }
            let all = try await api.send(.get, "/api/v1/admin/users", as: admin)
            #expect(all["data"]?.arrayValue?.count == 20 && all["users"]?.arrayValue?.count == 23)
            #expect(all["total"] == 23 && all["pagination", "totalPages"] == 2)
            #expect(all["users", "0"]?.objectValue?.keys.sorted() == ["email", "userId", "username"])
            #expect(try DocumentedShape().problems(of: all.json, as: "AdminUserList") == [])
            let page = try await api.send(.get, "/api/v1/admin/users?limit=5&page=5", as: admin)
            #expect(page["data"]?.arrayValue?.count == 3 && page["users"]?.arrayValue?.count == 3)
            #expect(try await api.send(.get, "/api/v1/admin/users?search=user22", as: admin)["total"] == 1)
        }
    }

    @Test("one is shown with limits and counts; the system's own and unknown ones do not exist")
    func detail() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            let admin = try await api.addAdmin()
            let user = try await api.addUser("bob")
            _ = try await api.createKey(as: user)
            let answer = try await api.send(.get, path(user), as: admin)
            #expect(answer.status == 200 && answer["apiKeysCount"] == 1 && answer["activeApiKeysCount"] == 1)
            #expect(try DocumentedShape().problems(of: answer.json, as: "UserDetail") == [])
            for id in [UUID().text, User.systemId.text] {
                for method in [HTTPRequest.Method.get, .put, .delete] {
                    let missing = try await api.send(
                        method, "/api/v1/admin/users/\(id)", method == .put ? ["isActive": true] : nil, as: admin)
                    #expect(missing.status == 404 && missing.errorCode == "NOT_FOUND", "\(method) \(id)")
                }
            }
            #expect(try await api.send(.get, "/api/v1/admin/users/x", as: admin).refusedFields == ["id"])
            #expect(try await api.send(.get, path(user), as: user).status == 403)
        }
    }

    @Test("limits are set, cleared by null and left alone where they are not named")
    func limits() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            let user = try await api.addUser("bob")
            let url = path(user, "/budget-limits")
            let set = try await api.send(
                .patch, url, ["maxBudget": 12.5, "tpmLimit": 100, "budgetDuration": "monthly"], as: admin,
                headers: Self.prefer)
            #expect(set.status == 200 && set["maxBudget"] == 12.5 && set["budgetDuration"] == "monthly", "\(set.text)")
            #expect(try DocumentedShape().problems(of: set.json, as: "UserLimits") == [])
            #expect(api.litellm.state.users[user.id.text]?["max_budget"]?.doubleValue == 12.5)
            let cleared = try await api.send(
                .patch, url, ["maxBudget": nil, "rpmLimit": 0], as: admin, headers: Self.prefer)
            #expect(cleared.status == 200, "\(cleared.text)")
            #expect(cleared["maxBudget"] == nil && cleared["tpmLimit"] == 100 && cleared["rpmLimit"] == 0)
            let row = try #require(api.litellm.state.users[user.id.text])
            #expect(row["max_budget"] == nil && row["rpm_limit"] == 0 && row["tpm_limit"] == 100)
            #expect(try await actions(user, api).filter { $0 == "USER_BUDGET_UPDATE" }.count == 2)
            #expect(try await api.send(.patch, url, [:], as: admin).refusedFields == ["body"])
            let bad = try await api.send(.patch, url, ["maxBudget": -1, "tpmLimit": "x"], as: admin)
            #expect(Set(bad.refusedFields) == ["maxBudget", "tpmLimit"])
            let period = try await api.send(.patch, url, ["budgetDuration": "soon"], as: admin)
            #expect(period.refusedFields == ["budgetDuration"])
        }
    }

    @Test("deactivating ends sessions and puts in a job for each live key; taking back undoes it")
    func deactivation() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            try await api.addModels("gpt")
            let admin = try await api.addAdmin()
            let user = try await api.addUser("bob")
            for name in ["one", "two"] {
                #expect(try await api.createKey(name, as: user, headers: Self.prefer).status == 201)
            }
            try await api.database.client.query(
                """
                insert into auth_sessions (id, user_id, provider, expires_at)
                values (gen_random_uuid(), \(user.id), 'test', now() + interval '1 day')
                """)
            let off = try await api.send(.delete, path(user), as: admin)
            #expect(off.status == 202 && off["job", "kind"] == "key.access", "\(off.text)")
            #expect(off["keyJobs"]?.arrayValue?.count == 2 && off["deactivatedAt"]?.stringValue != nil)
            #expect(try DocumentedShape().problems(of: off.json, as: "DeactivatedUser") == [])
            for job in off["keyJobs"]?.arrayValue ?? [] {
                try await api.wait(for: job["jobId"]?.stringValue, "succeeded")
            }
            #expect(api.litellm.state.keys.values.allSatisfy { $0["blocked"] == true })
            #expect(
                try await api.count(
                    """
                    select count(*) from auth_sessions
                    where revoked_at is not null and revoke_reason = 'user_deactivated' and user_id = \(user.id)
                    """
                ) == 2)
            #expect(try await api.send(.get, "/api/v1/users/me", as: user).status == 401)
            #expect(try await api.send(.get, path(user), as: admin)["deactivatedAt"] == off["deactivatedAt"])
            // Once more: nothing changes, and the audit log does not say so twice.
            let again = try await api.send(.delete, path(user), as: admin)
            #expect(again["deactivatedAt"] == off["deactivatedAt"])

            let on = try await api.send(.post, path(user, "/reactivate"), as: admin, headers: Self.prefer)
            #expect(on.status == 200 && on["isActive"] == true && on["deactivatedAt"] == nil, "\(on.text)")
            #expect(on["job", "kind"] == "user.provision" && on["keyJobs"]?.arrayValue?.count == 2)
            #expect(try DocumentedShape().problems(of: on.json, as: "ChangedUser") == [])
            for job in on["keyJobs"]?.arrayValue ?? [] {
                try await api.wait(for: job["jobId"]?.stringValue, "succeeded")
            }
            #expect(api.litellm.state.keys.values.allSatisfy { $0["blocked"] != true })
            // The session that was ended stays so; a new one can begin.
            #expect(try await api.send(.get, "/api/v1/users/me", as: user).status == 401)
            api.sessions.withLock { $0[user.id] = nil }
            #expect(try await api.send(.get, "/api/v1/users/me", as: user).status == 200)
            let log = try await actions(user, api)
            #expect(log.filter { $0 == "USER_DEACTIVATE" }.count == 1 && log.contains("USER_REACTIVATE"))
        }
    }

    @Test("PUT changes several things at once; a repeated reactivation with the same key is answered again")
    func update() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let user = try await api.addUser("bob")
            let body: JSONValue = ["fullName": "Robert", "roles": ["readonly"], "isActive": false]
            let answer = try await api.send(.put, path(user), body, as: admin)
            #expect(answer.status == 202 && answer["fullName"] == "Robert" && answer["isActive"] == false)
            #expect(answer["roles"] == ["readonly"] && answer["updatedAt"]?.stringValue != nil)
            #expect(try DocumentedShape().problems(of: answer.json, as: "ChangedUser") == [])
            #expect(try await actions(user, api) == ["USER_DEACTIVATE"])
            #expect(try await api.send(.put, path(user), [:], as: admin).refusedFields == ["body"])
            let headers = HTTPFields([HTTPField(name: .idempotencyKey, value: "k1")])
            let first = try await api.send(.post, path(user, "/reactivate"), as: admin, headers: headers)
            let second = try await api.send(.post, path(user, "/reactivate"), as: admin, headers: headers)
            #expect(first["job", "id"] == second["job", "id"] && second.headers[.idempotencyReplayed] == "true")
        }
    }

    // MARK: The last admin

    @Test("nobody takes the role from themselves, deactivates themselves, or removes the last admin")
    func own() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let other = try await api.addAdmin("other")
            for (method, url, body) in [
                (HTTPRequest.Method.patch, "/api/v1/users/\(admin.id.text)", ["roles": ["user"]] as JSONValue),
                (.put, path(admin), ["roles": ["user"]]), (.put, path(admin), ["isActive": false]),
                (.delete, path(admin), [:]),
            ] {
                let answer = try await api.send(method, url, body, as: admin)
                #expect(answer.status == 409 && answer.errorCode == "CONFLICT", "\(method) \(url)")
            }
            // Other roles of one's own are free.
            let more = try await api.send(
                .put, path(admin), ["roles": ["admin", "readonly"]], as: admin)
            #expect(more.status == 202)
            #expect(try await api.send(.put, path(other), ["roles": ["user"]], as: admin).status == 202)
            // By a program, which is nobody's own account.
            await #expect(throws: ProvisioningError.self) {
                try await api.database.client.withTransaction { transaction in
                    var change = UserChange()
                    change.isActive = false
                    _ = try await UserAdministration(queue: api.queue).change(
                        admin.id, change, action: "USER_UPDATE", giving: Set(Role.allCases),
                        by: AuditActor(userId: nil, name: "robot"),
                        in: transaction)
                }
            }
        }
    }

    @Test("of two admins who demote each other at once, one stays", arguments: [false, true])
    func eachOther(isDeactivation: Bool) async throws {
        try await APIHarness.run { api in
            let one = try await api.addAdmin("one")
            let two = try await api.addAdmin("two")
            var change = UserChange()
            if isDeactivation { change.isActive = false } else { change.roles = [.user] }
            let wanted = change
            let administration = UserAdministration(queue: api.queue)
            let isLocked = AsyncStream<Void>.makeStream()
            let rival = Task {
                for await _ in isLocked.stream { break }
                return try await api.send(
                    .put, path(one), isDeactivation ? ["isActive": false] : ["roles": ["user"]], as: two)
            }
            try await api.database.client.withTransaction { transaction in
                _ = try await administration.change(
                    two.id, wanted, action: "USER_UPDATE", giving: Set(Role.allCases),
                    by: AuditActor(userId: one.id, name: "one"),
                    in: transaction)
                isLocked.continuation.yield()
                // The other one's request comes as far as it can before this commits.
                let waits = try await eventually {
                    try await transaction.query(
                        """
                        select count(*) from pg_locks where locktype = 'advisory' and not granted
                            and database = (select oid from pg_database where datname = current_database())
                        """
                    ).one(Int.self) > 0
                }
                #expect(waits)
            }
            let answer = try await rival.value
            #expect(answer.status == 409 && answer.errorCode == "CONFLICT", "\(answer.text)")
            #expect(
                try await api.count("select count(*) from users where is_active and 'admin' = any (roles)") == 1)
        }
    }
}

@Suite("Users in conflict", .needsDatabase, .hangGuard)
struct UserConflictRouteTests {
    private func conflicted(_ api: APIHarness, as admin: User) async throws -> String {
        api.litellm.change { state in
            state.users["other-id"] = ["user_id": "other-id", "user_email": "bob@example.com", "user_alias": "Old Bob"]
            state.keys["f00"] = ["token": "f00", "key_alias": "old", "user_id": "other-id"]
        }
        let body: JSONValue = ["username": "bob", "email": "bob@example.com"]
        let made = try await api.send(
            .post, "/api/v1/admin/users", body, as: admin, headers: [.prefer: "wait=20"])
        #expect(made.status == 409, "\(made.text)")
        let failed = try await api.send(.get, "/api/v1/admin/users?syncStatus=failed", as: admin)
        #expect(failed["total"] == 1)
        return try #require(failed["data", "0", "id"]?.stringValue)
    }

    @Test("a conflict is shown, looked at, and decided by adopting")
    func adopt() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            let id = try await conflicted(api, as: admin)
            let path = "/api/v1/admin/users/\(id)"
            let shape = try DocumentedShape()
            let shown = try await api.send(.get, path, as: admin)
            #expect(shown["syncStatus"] == "failed" && shown["conflict", "litellmUserId"] == "other-id")
            #expect(shown["conflict", "keyCount"] == 1 && shape.problems(of: shown.json, as: "UserDetail") == [])

            let preview = try await api.send(
                .post, "\(path)/realign?dryRun=true", ["action": "adopt"], as: admin, headers: [.prefer: "wait=20"])
            #expect(preview.status == 200 && preview["dryRun"] == true, "\(preview.text)")
            #expect(preview["preview", "movedKeys"] == 1 && preview["preview", "foreign", "alias"] == "Old Bob")
            #expect(shape.problems(of: preview.json, as: "Realignment") == [])
            #expect(api.litellm.state.users["other-id"]?["user_email"] == "bob@example.com")
            let state = try await api.send(.get, path, as: admin)
            #expect(state["syncStatus"] == "failed" && state["conflict"] != nil)

            let done = try await api.send(
                .post, "\(path)/realign", ["action": "adopt", "reason": "The same person."], as: admin,
                headers: [.prefer: "wait=20"])
            #expect(done.status == 200 && done["syncStatus"] == "synced" && done["conflict"] == nil, "\(done.text)")
            #expect(api.litellm.state.keys["f00"]?["user_id"]?.stringValue == id)
            let again = try await api.send(
                .post, "\(path)/realign", ["action": "adopt", "reason": "Once more."], as: admin)
            #expect(again.status == 409)
            let reasons = try await api.count(
                "select count(*) from audit_logs where action = 'USER_REALIGN' and new_values ->> 'reason' is not null")
            #expect(reasons == 1)
        }
    }

    @Test("or by going without the address, with a reason")
    func separate() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            let id = try await conflicted(api, as: admin)
            let path = "/api/v1/admin/users/\(id)/realign"
            #expect(try await api.send(.post, path, ["action": "separate"], as: admin).refusedFields == ["reason"])
            #expect(
                try await api.send(.post, path, ["action": "merge", "reason": "x"], as: admin).refusedFields
                    == ["action"])
            let done = try await api.send(
                .post, path, ["action": "separate", "reason": "Two people."], as: admin, headers: [.prefer: "wait=20"])
            #expect(done.status == 200 && done["syncStatus"] == "synced", "\(done.text)")
            #expect(api.litellm.state.users["other-id"]?["user_email"] == "bob@example.com")
            #expect(api.litellm.state.keys["f00"]?["user_id"] == "other-id")
            #expect(try await api.send(.get, "/api/v1/users?syncStatus=odd", as: admin).refusedFields == ["syncStatus"])
        }
    }
}
