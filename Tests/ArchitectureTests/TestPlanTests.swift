import Foundation
import Testing

/// docs/test-plan.md speaks of tests that exist.
@Suite("Test plan")
struct TestPlanTests {
    private static func lines() throws -> [Substring] {
        try String(contentsOf: SourceTree.root.appending(path: "docs/test-plan.md"), encoding: .utf8)
            .split(separator: "\n")
    }

    @Test("every test that the plan names exists")
    func namesExist() throws {
        let tests = SourceTree.files("Tests").map(\.text).joined()
        var names = 0
        for line in try Self.lines() where line.hasPrefix("|") {
            for match in line.matches(of: /"([^"]+)"/) {
                // A long name may be cut short.
                let name = match.1.replacing(/[,:]?\s*…$/, with: "")
                names += 1
                #expect(tests.contains("\"\(name)"), "no test is named \(name)")
            }
        }
        #expect(names > 39)
    }

    @Test("every suite that the plan names exists")
    func suitesExist() throws {
        let tests = SourceTree.files("Tests").map(\.text).joined()
        for line in try Self.lines() where line.hasPrefix("|") {
            for match in line.matches(of: /`([^`\/]+)`: "/) {
                #expect(tests.contains("@Suite(\"\(match.1)\""), "no suite is named \(match.1)")
            }
        }
    }

    @Test("the troubles are numbered from 1 to 39, each with an answer")
    func numbered() throws {
        let rows = try Self.lines().compactMap { line -> Int? in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            return cells.count == 3 && cells.allSatisfy { !$0.isEmpty } ? Int(cells[0]) : nil
        }
        #expect(rows == Array(1...39))
    }
}
