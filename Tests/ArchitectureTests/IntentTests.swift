import Testing

@testable import Jobs

/// docs/intents.md speaks of the kinds that there are.
@Suite("Intents")
struct IntentTests {
    @Test("every kind has one row, with its queue and a policy of retries, and a test that kills it")
    func complete() throws {
        let handlers = JobCatalog.standard.handlers
        let rows = try MarkdownTable.rows("docs/intents.md", cells: 8).filter { $0[0].quoted.count == 1 }
        #expect(rows.map { $0[0].quoted[0] }.sorted() == handlers.keys.sorted())
        for cells in rows {
            let name = cells[0].quoted[0]
            guard let handler = handlers[name] else { continue }
            #expect(cells[2] == handler.queue, "\(name)")
            let isEndless = handler.retry == .untilDone
            #expect(cells[5].hasPrefix(isEndless ? "until done" : "25 times"), "\(name)")
            #expect(isEndless || handler.retry == .standard, "\(name)")
            #expect((cells[4] == "none") == (handler.upstream == nil), "\(name): calls of LiteLLM")
            #expect(!cells[7].quoted.isEmpty, "\(name) names no test")
            for test in cells[7].quoted { #expect(KnownTests.contain(test), "\(name): no test \(test)") }
        }
    }
}
