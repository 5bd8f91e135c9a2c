import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API

@Suite("Documentation page", .needsDatabase, .hangGuard)
struct DocsRouteTests {
    @Test("the page and everything it names are there, with a strict policy, and need nobody else")
    func offline() async throws {
        try await APIHarness.run { api in
            let page = try await api.send(.get, "/docs")
            #expect(page.status == 200 && page.headers[.contentType] == "text/html; charset=utf-8")
            var known: Set<String> = []
            var waiting = ["/docs"]
            while let path = waiting.popLast() {
                guard known.insert(path).inserted else { continue }
                let answer = try await api.send(.get, path)
                #expect(answer.status == 200, "\(path)")
                if path == "/docs/openapi.json" { continue }
                #expect(answer.headers[.contentSecurityPolicy] == DocsPage.securityPolicy)
                #expect(answer.headers[.xContentTypeOptions] == "nosniff")
                #expect(!answer.text.contains("://"), "\(path) names another server")
                waiting += answer.text.matches(of: /(?:src|href|fetch\()=?"(\/docs[^"#]*)"/).map { String($0.1) }
                waiting += answer.text.matches(of: /from "\.\/([a-z]+\.js)"/).map { "/docs/assets/\($0.1)" }
            }
            #expect(DocsPage.securityPolicy.hasPrefix("default-src 'none'; script-src 'self'; style-src 'self';"))
            #expect(!DocsPage.securityPolicy.contains("unsafe"))
            let files = ["docs.css", "docs.js", "dom.js", "schema.js", "try.js"].map { "/docs/assets/\($0)" }
            #expect(known == Set(files + ["/docs", "/docs/openapi.json"]))
        }
    }

    @Test("its description is the API's; the old address leads there")
    func description() async throws {
        try await APIHarness.run { api in
            let own = try await api.send(.get, "/docs/openapi.json")
            #expect(own.status == 200)
            #expect(try await own.json == api.send(.get, "/api/v1/openapi.json").json)
            #expect(try await api.send(.get, "/api/v1")["docs"] == "/docs")
            let old = try await api.send(.get, "/api/docs")
            #expect(old.status == 308 && old.headers[.location] == "/docs" && old.text.isEmpty)
        }
    }

    @Test("no other file can be had", arguments: ["none.js", "..%2Fopenapi.yaml", "openapi.yaml", "%2Fetc%2Fpasswd"])
    func otherFiles(name: String) async throws {
        try await APIHarness.run { api in
            let answer = try await api.send(.get, "/docs/assets/\(name)")
            #expect(answer.status == 404 && answer.errorCode == "NOT_FOUND")
        }
    }
}
