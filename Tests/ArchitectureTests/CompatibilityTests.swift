import Testing

/// docs/compatibility.md says what is there.
@Suite("Compatibility")
struct CompatibilityTests {
    private static func rows() throws -> [(endpoint: String, state: String, test: String)] {
        try MarkdownTable.rows("docs/compatibility.md", cells: 4).compactMap { cells in
            cells[0].quoted.first.map { ($0, cells[2], cells[3]) }
        }
    }

    @Test("what is called built is described and has a test; what is called not built is not there")
    func builtOrNot() throws {
        let operations = Set(try DescribedAPI.operations())
        let rows = try Self.rows()
        #expect(operations.count > 90 && rows.count > 140)
        for (endpoint, state, test) in rows {
            switch state.prefix(while: { $0 != ":" && $0 != "," }) {
            case "same", "superset":
                #expect(operations.contains(endpoint), "\(endpoint) is \(state), but not described")
                #expect(test.quoted.count == 1 && KnownTests.contain(test.quoted[0]), "\(endpoint): no test \(test)")
            case "different":
                #expect(state.contains(": "), "\(endpoint): how?")
                #expect(operations.contains(endpoint), "\(endpoint) is \(state), but not described")
                #expect(test.quoted.count == 1 && KnownTests.contain(test.quoted[0]), "\(endpoint): no test \(test)")
            case "not built":
                #expect(state.contains(": "), "\(endpoint): why?")
                #expect(!operations.contains(endpoint), "\(endpoint) is there by now")
                #expect(test == "–", "\(endpoint)")
            default: Issue.record("\(endpoint) is \(state)")
            }
        }
    }

    @Test("every route is in the table, or among those that are ours only, once")
    func complete() throws {
        let own = try MarkdownTable.rows("docs/compatibility.md", cells: 2).compactMap { $0[0].quoted.first }
        let known = try Self.rows().map(\.endpoint) + own
        let operations = Set(try DescribedAPI.operations())
        #expect(operations.subtracting(known) == [], "routes that the page does not know")
        #expect(Set(own).subtracting(operations) == [], "routes of ours that are gone")
        #expect(Set(known).count == known.count, "a route is there twice")
    }
}
