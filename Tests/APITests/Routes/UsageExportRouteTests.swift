import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

/// Usage as files, days taken over anew, and single requests.
@Suite("Files of usage", .needsDatabase, .hangGuard)
struct UsageExportRouteTests {
    /// One day on which the user's key was used, and a foreign one.
    private func addUsage(_ api: APIHarness, _ user: User, day: String = "2026-01-02") async throws {
        let secret = try #require(try await api.createKey(as: user)["key"]?.stringValue)
        let totals = UsageTotals(
            spend: 1.5, promptTokens: 10, completionTokens: 5, totalTokens: 15, requests: 4, successfulRequests: 3,
            failedRequests: 1)
        let entries = [sha256Hex(secret), String(repeating: "f", count: 64)].map {
            UsageEntry(keyHash: $0, modelId: "gpt", provider: "openai", keyAlias: nil, totals: totals)
        }
        let usage = UsageDay(
            day: try #require(UTCDay(day)), fetchedAt: Date(), isComplete: true, totals: totals + totals,
            entries: entries)
        try await api.database.client.withTransaction { transaction in
            _ = try await PostgresUsageStore().replace(usage, jobId: 1, in: transaction)
        }
    }

    private static let dates = "startDate=2026-01-01&endDate=2026-01-03"

    @Test("one's own days are there at once, with a name, in both formats, and leave an audit row")
    func own() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            let user = try await api.addUser()
            let other = try await api.addUser("other")
            try await addUsage(api, user)
            let path = "/api/v1/usage/export?\(Self.dates)"
            let csv = try await api.send(.get, path + "&format=csv", as: user)
            #expect(csv.status == 200)
            #expect(csv.headers[.contentType] == "text/csv; charset=utf-8")
            #expect(
                csv.headers[.known("Content-Disposition")]
                    == "attachment; filename=\"usage-export-2026-01-01-2026-01-03.csv\"")
            #expect(
                csv.text == """
                    Date,Requests,Total Tokens,Prompt Tokens,Completion Tokens,Avg Latency (ms),Error Rate (%),Success Rate (%)\r
                    2026-01-02,4,15,10,5,0,25,75\r

                    """)
            let json = try await api.send(.get, path, as: user)
            #expect(json["0", "date"] == "2026-01-02" && json["0", "errorRate"] == 25 && json["1"] == nil)
            #expect(try await api.send(.get, path, as: other).json == [])
            // Whose it is cannot be chosen by those who may see only their own.
            #expect(try await api.send(.get, path + "&userId=\(user.id.text)", as: other).json == [])
            let admin = try await api.addAdmin()
            #expect(try await api.send(.get, path, as: admin).json == [])
            #expect(try await api.send(.get, path + "&userId=\(user.id.text)", as: admin)["0", "requests"] == 4)
            #expect(try await api.send(.get, path + "&modelId=none", as: user).json == [])
            let subscription = try await api.database.client.query("select id from subscriptions").one(UUID.self).text
            #expect(try await api.send(.get, path + "&subscriptionId=\(subscription)", as: user)["0", "requests"] == 4)
            #expect(try await api.send(.get, path + "&subscriptionId=\(subscription)", as: other).status == 404)
            let clash = try await api.send(.get, path + "&subscriptionId=\(subscription)&modelId=other", as: user)
            #expect(clash.refusedFields == ["modelId"])
            #expect(try await api.send(.get, path + "&format=xml", as: user).refusedFields == ["format"])
            #expect(try await api.count("select count(*) from audit_logs where action = 'USAGE_EXPORT'") == 8)
        }
    }

    @Test("administrators get everybody's sums, with the currency that is set")
    func everybody() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            let user = try await api.addUser()
            let admin = try await api.addAdmin()
            try await addUsage(api, user)
            let currency: JSONValue = ["code": "EUR"]
            #expect(try await api.send(.put, "/api/v1/admin/settings/currency", currency, as: admin).status == 200)
            let path = "/api/v1/admin/usage/export"
            let body: JSONValue = ["startDate": "2025-06-01", "endDate": "2026-05-31"]
            let csv = try await api.send(.post, path, body, as: admin)
            #expect(csv.status == 200)
            #expect(
                csv.headers[.known("Content-Disposition")]
                    == "attachment; filename=\"admin-usage-export-2025-06-01-to-2026-05-31.csv\"")
            let lines = csv.text.split(separator: "\r\n")
            #expect(lines[0].hasSuffix(",Total Cost (EUR)"))
            #expect(
                lines.dropFirst() == [
                    "\(user.id.text),alice,alice@example.com,4,15,10,5,1.5", ",Unknown User,,4,15,10,5,1.5",
                ])
            var only = body.objectValue ?? [:]
            only["format"] = "json"
            only["userIds"] = [.string(user.id.text)]
            let json = try await api.send(.post, path, .object(only), as: admin)
            #expect(json["0", "totalCost"] == 1.5 && json["1"] == nil)
            for (body, field): (JSONValue, String) in [
                ([:], "startDate"), (["startDate": "2025-05-31", "endDate": "2026-05-31"], "endDate"),
                (["startDate": "2026-02-01", "endDate": "2026-01-31"], "startDate"),
                (["startDate": "2026-01-01", "endDate": "2026-01-31", "userIds": ["me"]], "userIds"),
                (["startDate": "2026-01-01", "endDate": "2026-01-31", "format": "xml"], "format"),
            ] {
                #expect(try await api.send(.post, path, body, as: admin).refusedFields.first == field, "\(body)")
            }
            #expect(try await api.send(.post, path, body, as: user).status == 403)
        }
    }

    @Test("what a job writes is fetched by whoever asked for it, and by nobody else")
    func byJob() async throws {
        try await APIHarness.run({ $0.hasWorker = true }) { api in
            try await api.addModels("gpt")
            let user = try await api.addUser()
            let other = try await api.addUser("other")
            let admin = try await api.addAdmin()
            try await addUsage(api, user)
            let path = "/api/v1/usage/export?\(Self.dates)&format=csv"
            let direct = try await api.send(.get, path, as: user)
            let accepted = try await api.send(.get, path + "&async=true", as: user)
            #expect(accepted.status == 202 && accepted["status"] == "pending" && accepted["downloadUrl"] == nil)
            let id = try #require(accepted["id"]?.stringValue)
            try await api.wait(for: accepted["job", "id"]?.stringValue, "succeeded")
            let state = try await api.send(.get, "/api/v1/usage/exports/\(id)", as: user)
            #expect(state["status"] == "ready" && state["rowCount"] == 1)
            let url = try #require(state["downloadUrl"]?.stringValue)
            let file = try await api.send(.get, url, as: user)
            #expect(file.status == 200 && file.text == direct.text)
            #expect(file.headers[.known("Content-Disposition")] == direct.headers[.known("Content-Disposition")])
            for somebody in [other, admin] {
                #expect(try await api.send(.get, "/api/v1/usage/exports/\(id)", as: somebody).status == 404)
                #expect(try await api.send(.get, url, as: somebody).status == 404)
            }

            let body: JSONValue = ["startDate": "2026-01-01", "endDate": "2026-01-31", "format": "json"]
            let waited = try await api.send(
                .post, "/api/v1/admin/usage/export?async=true", body, as: admin, headers: [.prefer: "wait=20"])
            #expect(waited.status == 200 && waited["status"] == "ready")
            let allUrl = try #require(waited["downloadUrl"]?.stringValue)
            #expect(try await api.send(.get, allUrl, as: admin)["0", "username"] == "alice")
            #expect(try await api.send(.get, allUrl, as: user).status == 404)
            try await api.database.client.query("update usage_exports set expires_at = now()")
            #expect(try await api.send(.get, allUrl, as: admin).status == 404)
        }
    }

    @Test("a file that is not ready is a conflict")
    func notReady() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            let accepted = try await api.send(.get, "/api/v1/usage/export?async=true", as: user)
            let id = try #require(accepted["id"]?.stringValue)
            let early = try await api.send(.get, "/api/v1/usage/exports/\(id)/download", as: user)
            #expect(early.status == 409 && early.errorCode == "CONFLICT")
            #expect(try await api.send(.get, "/api/v1/usage/exports/\(UUID().text)", as: user).status == 404)
        }
    }

    @Test("a range of days is taken over anew, by administrators, and says what came of it")
    func rebuild() async throws {
        try await APIHarness.run({ $0.hasWorker = true }) { api in
            let admin = try await api.addAdmin()
            let path = "/api/v1/admin/usage/rebuild-cache"
            let body: JSONValue = ["startDate": "2026-01-01", "endDate": "2026-01-03"]
            let done = try await api.send(.post, path, body, as: admin, headers: [.prefer: "wait=20"])
            #expect(done.status == 200 && done["status"] == "complete" && done["rebuiltCount"] == 3)
            #expect(done["totalEntries"] == 0 && done["failedDays"] == [])
            #expect(try await api.count("select count(*) from usage_days where is_complete") == 3)
            let usual = try await api.send(.post, path, as: admin)
            #expect(usual.status == 202 && usual["status"] == "pending" && usual["rebuiltCount"] == 0)
            #expect(usual["endDate"]?.stringValue == UTCDay(containing: Date()).description)
            for (body, field): (JSONValue, String) in [
                (["startDate": "2026-02-01", "endDate": "2026-01-01"], "startDate"),
                (["startDate": "2024-01-01", "endDate": "2025-01-02"], "endDate"),
                (["startDate": "soon"], "startDate"), (["startDate": "2023-12-31"], "startDate"),
                (["endDate": .string(UTCDay(containing: Date()).advanced(by: 2).description)], "endDate"),
            ] {
                let bad = try await api.send(.post, path, body, as: admin)
                #expect(bad.status == 400 && bad.text.contains("\"\(field)\""), "\(body): \(bad.text)")
            }
            let reader = try await api.addUser("reader", roles: [.adminReadonly])
            #expect(try await api.send(.post, path, body, as: reader).status == 403)
            #expect(try await api.count("select count(*) from audit_logs where action = 'USAGE_REBUILD'") == 2)
        }
    }

    @Test("single requests are shown page by page, one's own and everybody's")
    func requests() async throws {
        try await APIHarness.run({ $0.provisioning.keepsRequestLog = true }) { api in
            try await api.addModels("gpt")
            let user = try await api.addUser()
            let admin = try await api.addAdmin()
            let created = try await api.createKey(as: user)
            let hash = sha256Hex(try #require(created["key"]?.stringValue))
            let entries = (0..<5).map { index in
                UsageLogEntry(
                    requestId: "r\(index)", startedAt: Date(timeIntervalSince1970: 1_767_225_600 + Double(index)),
                    keyHash: index == 4 ? "foreign" : hash, modelId: "gpt", spend: 0.5, promptTokens: 1,
                    completionTokens: 2, totalTokens: 3, status: index == 0 ? .failure : .success, durationMs: 12)
            }
            _ = try await api.database.client.withTransaction {
                try await PostgresUsageLogStore().store(entries, in: $0)
            }
            func ids(_ answer: Answer) -> [String] {
                answer["data"]?.arrayValue?.compactMap { $0["requestId"]?.stringValue } ?? []
            }
            let first = try await api.send(.get, "/api/v1/usage/requests?limit=3", as: user)
            #expect(ids(first) == ["r3", "r2", "r1"])
            #expect(first["data", "0", "apiKeyName"] == "My key" && first["data", "0", "cost"] == 0.5)
            let cursor = try #require(
                first["cursor"]?.stringValue?.addingPercentEncoding(withAllowedCharacters: .alphanumerics))
            let second = try await api.send(.get, "/api/v1/usage/requests?limit=3&cursor=\(cursor)", as: user)
            #expect(ids(second) == ["r0"] && second["cursor"] == nil)
            let all = "/api/v1/admin/usage/requests"
            #expect(try await ids(api.send(.get, all, as: admin)) == ["r4", "r3", "r2", "r1", "r0"])
            #expect(try await ids(api.send(.get, all + "?userId=\(user.id.text)&status=failure", as: admin)) == ["r0"])
            #expect(try await ids(api.send(.get, all + "?startDate=2026-01-02", as: admin)) == [])
            #expect(try await api.send(.get, all + "?cursor=x", as: admin).refusedFields == ["cursor"])
            #expect(try await api.send(.get, all, as: user).status == 403)
        }
    }

    @Test("where single requests are not kept the answer says how to keep them")
    func requestsOff() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            let answer = try await api.send(.get, "/api/v1/usage/requests", as: user)
            #expect(answer.status == 404 && answer.text.contains("USAGE_REQUEST_LOG=true"))
        }
    }
}
