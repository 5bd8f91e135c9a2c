import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Audit log", .needsDatabase, .hangGuard)
struct AuditRouteTests {
    private static let path = "/api/v1/admin/audit"

    private func add(_ api: APIHarness, _ entries: AuditEntry...) async throws {
        for entry in entries { try await PostgresAuditStore().append(entry, in: api.database.client) }
    }

    private func entry(
        _ action: String, by actor: AuditActor, _ type: String = "user", _ id: String? = nil, success: Bool = true,
        error: String? = nil, new: JSONValue? = nil
    ) -> AuditEntry {
        AuditEntry(
            actor: actor, action: action, resourceType: type, resourceId: id, newValues: new, jobId: 7,
            success: success, errorMessage: error, metadata: ["note": "n"])
    }

    @Test("is filtered by everything that it holds, newest first")
    func filters() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let bob = try await api.addUser("bob")
            let program = AuditActor(userId: nil, name: "robot", requestId: "r-1")
            let person = AuditActor(
                userId: bob.id, name: "bobby", ipAddress: "192.0.2.1", userAgent: "agent", requestId: "r-2")
            try await add(
                api, entry("A", by: person, "user", "1"), entry("B", by: program, "team", "2"),
                entry("C", by: person, "team", "1", success: false, error: "it broke"), entry("A", by: program, "model")
            )
            try await api.database.client.query("alter table audit_logs disable trigger all")
            try await api.database.client.query(
                "update audit_logs set created_at = now() - interval '1 day' where action = 'B'")
            func found(_ query: String) async throws -> [String] {
                let answer = try await api.send(.get, "\(Self.path)?\(query)", as: admin)
                #expect(answer.status == 200, "\(answer.text)")
                let actions = (answer["data"]?.arrayValue ?? []).compactMap { $0["action"]?.stringValue }
                #expect(answer["pagination", "total"]?.intValue == actions.count)
                return actions
            }
            #expect(try await found("") == ["A", "C", "A", "B"])
            #expect(try await found("action=A") == ["A", "A"])
            #expect(try await found("resourceType=team") == ["C", "B"])
            #expect(try await found("resourceType=team&resourceId=2") == ["B"])
            #expect(try await found("resourceId=1") == ["C", "A"])
            #expect(try await found("userId=\(bob.id.text)") == ["C", "A"])
            #expect(try await found("requestId=r-1") == ["A", "B"])
            #expect(try await found("success=false") == ["C"])
            #expect(try await found("excludeResourceTypes=team,model") == ["A"])
            #expect(try await found("search=BROKE") == ["C"])
            #expect(try await found("search=bob@example") == ["C", "A"])
            #expect(try await found("search=rob") == ["A", "B"])
            let today = UTCDay(containing: Date())
            #expect(try await found("endDate=\(today.previous)") == ["B"])
            #expect(try await found("startDate=\(today.previous)&endDate=\(today.next)").count == 4)
            #expect(
                try await found("startDate=\(today.previous.start.ISO8601Format())&endDate=\(today.previous)") == ["B"])

            let page = try await api.send(.get, "\(Self.path)?limit=1&page=2", as: admin)
            #expect(page["data", "0", "action"] == "C" && page["pagination", "total"] == 4)
            #expect(try DocumentedShape().problems(of: page.json, as: "AuditPage") == [])
            let row = try #require(page["data", "0"])
            #expect(row["username"] == "bob" && row["email"] == "bob@example.com" && row["actor"] == "bobby")
            #expect(row["ipAddress"] == "192.0.2.1" && row["userAgent"] == "agent" && row["requestId"] == "r-2")
            #expect(row["jobId"] == "7" && row["metadata"] == ["note": "n"] && row["success"] == false)
        }
    }

    @Test("what cannot be asked is refused, and who may not see it is")
    func refusals() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let bad = try await api.send(
                .get, "\(Self.path)?startDate=soon&userId=x&success=perhaps&limit=101", as: admin)
            #expect(Set(bad.refusedFields) == ["startDate", "userId", "success", "limit"])
            let turned = try await api.send(.get, "\(Self.path)?startDate=2026-02-01&endDate=2026-01-01", as: admin)
            #expect(turned.refusedFields == ["startDate"])
            #expect(try await api.send(.get, "\(Self.path)?limit=100&page=501", as: admin).refusedFields == ["page"])
            #expect(try await api.send(.get, "\(Self.path)/export?format=xls", as: admin).refusedFields == ["format"])
            let user = try await api.addUser("bob")
            let reader = try await api.addUser("reader", roles: [.adminReadonly])
            for part in ["", "/actions", "/categories", "/export"] {
                #expect(try await api.send(.get, Self.path + part, as: user).status == 403)
                #expect(try await api.send(.get, Self.path + part, as: reader).status == 200)
            }
        }
    }

    @Test("names its actions and categories")
    func names() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            #expect(try await api.send(.get, "\(Self.path)/actions", as: admin).json == ["actions": []])
            for action in ["B", "A", "B", "C"] { try await add(api, entry(action, by: .system, "type \(action)")) }
            #expect(try await api.send(.get, "\(Self.path)/actions", as: admin).json == ["actions": ["A", "B", "C"]])
            #expect(
                try await api.send(.get, "\(Self.path)/categories", as: admin).json
                    == ["categories": ["type A", "type B", "type C"]])
        }
    }

    // MARK: Export

    @Test("is exported as a table without formulas, secrets or broken lines")
    func table() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let evil = AuditActor(userId: nil, name: "=cmd|' /C calc'!A0", userAgent: "a, \"b\"\nc")
            try await add(
                api,
                entry(
                    "A", by: evil, "user", "+1", error: "bearer sk-abcdefghijklmnop",
                    new: ["clientSecret": "hush", "list": ["sk-0123456789abcdef"], "keyPrefix": "sk-abcd"]),
                entry("B", by: .system, "team"))
            let answer = try await api.send(.get, "\(Self.path)/export?resourceType=user", as: admin)
            #expect(answer.status == 200 && answer.headers[.contentType] == "text/csv; charset=utf-8")
            #expect(answer.headers[.known("X-Export-Truncated")] == "false")
            #expect(answer.headers[.known("X-Export-Limit")] == "100000")
            #expect(answer.text.hasPrefix("id,createdAt,userId,"))
            #expect(answer.text.contains(",'=cmd|' /C calc'!A0,A,user,'+1,true,"))
            #expect(answer.text.contains("\"a, \"\"b\"\"\nc\""))
            #expect(answer.text.contains(#"""clientSecret"":""redacted"""#))
            #expect(
                answer.text.contains("sk-abcd") && !answer.text.contains("sk-0123") && !answer.text.contains("hush"))
            #expect(!answer.text.contains("sk-abcdefgh") && !answer.text.contains(",B,team"))
            // Who took it away is written down, too.
            let log = try await api.send(.get, "\(Self.path)?action=AUDIT_EXPORT", as: admin)
            #expect(log["pagination", "total"] == 1 && log["data", "0", "metadata", "format"] == "csv")
        }
    }

    @Test("is exported whole as lines of JSON, over several chunks, each entry once")
    func lines() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            try await api.database.client.query(
                """
                insert into audit_logs (created_at, actor, action, resource_type)
                select now() - (n / 3) * interval '1 millisecond', 'system', 'A' || n % 2, 'user'
                from generate_series(1, 2500) as n
                """)
            let answer = try await api.send(.get, "\(Self.path)/export?format=jsonl", as: admin)
            let entries = try answer.text.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
            let ids = entries.compactMap { $0["id"]?.stringValue }
            // The export's own entry is among them.
            #expect(ids.count == 2501 && Set(ids).count == 2501)
            #expect(try DocumentedShape().problems(of: entries.last, as: "AuditEntry") == [])
            let times = entries.compactMap { $0["createdAt"]?.stringValue }
            #expect(times == times.sorted(by: >))
            let some = try await api.send(.get, "\(Self.path)/export?format=jsonl&search=A1", as: admin)
            #expect(some.text.split(separator: "\n").count == 1250)
        }
    }

    @Test(
        "cells that a spreadsheet would carry out, and others",
        arguments: [
            ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@a", "'@a"), ("\tx", "'\tx"), ("\rx", "\"'\rx\""),
            ("a=b", "a=b"), ("a,b", "\"a,b\""), ("a\"b", "\"a\"\"b\""), ("", ""), ("\r\nx", "\"'\r\nx\""),
        ])
    func cells(text: String, cell: String) {
        #expect(CSVCell.text(text) == cell)
    }
}
