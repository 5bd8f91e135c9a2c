import Foundation
import Shared
import Testing

/// The invariants of ARCHITECTURE.md. Each names the files that break it.
@Suite("Architecture")
struct RuleTests {
    @Test("the tree is found at all")
    func treeIsThere() {
        #expect(SourceTree.files("Sources").count > 50)
        #expect(SourceTree.files("migrations", ending: ".sql").count > 1)
    }

    @Test("only the folders LibPQ and Curl import the C libraries, and the word unsafe appears only there")
    func unsafeStaysInside() {
        for file in SourceTree.product {
            let isInside =
                file.path.hasPrefix("Sources/Shared/Postgres/LibPQ/")
                || file.path.hasPrefix("Sources/Shared/HTTP/Curl/")
            guard !isInside else { continue }
            for line in file.codeLines {
                #expect(!line.contains("import CLibPQ"), "\(file)")
                #expect(!line.contains("import CCurl"), "\(file)")
                #expect(!line.contains(/\bunsafe\b/), "\(file): \(line)")
            }
        }
    }

    @Test("Shared never mentions jobs' modules, Jobs knows no HTTP server, API and Worker never import each other")
    func dependencyDirection() {
        let forbidden: [(String, [String])] = [
            ("Sources/Shared", ["Jobs", "API", "Worker", "Hummingbird"]),
            ("Sources/Jobs", ["API", "Worker", "Hummingbird"]),
            ("Sources/API", ["Worker"]),
            ("Sources/Worker", ["API"]),
            ("ops/litellm-simulator", ["Shared", "Jobs", "API", "Worker"]),
        ]
        for (folder, modules) in forbidden {
            for file in SourceTree.files(folder) {
                for module in modules {
                    #expect(
                        !file.codeLines.contains { $0.contains(" import \(module)") || $0 == "import \(module)" },
                        "\(file)")
                }
            }
        }
    }

    @Test("SQL stands only in stores, the migrator and migrations")
    func sqlInStores() {
        let statement = /"\s*(select|insert into|update|delete from|create table|alter table)\s/.ignoresCase()
        for file in SourceTree.product where !file.path.hasPrefix("ops/litellm-simulator") {
            let name = file.path.split(separator: "/").last ?? ""
            let mayHoldSQL =
                (name.hasPrefix("Postgres") && name.contains("Store")) || name.hasPrefix("Migrat")
                || file.path.hasPrefix("Sources/Shared/Postgres/")
            guard !mayHoldSQL else { continue }
            for line in file.codeLines { #expect(!line.contains(statement), "\(file): \(line)") }
        }
    }

    @Test("every file is short enough to read", arguments: ["Sources", "ops", "Tests"])
    func fileLength(folder: String) {
        for file in SourceTree.files(folder) {
            let limit = file.path.contains("StateMachine") ? 500 : 350
            #expect(file.lines.count <= limit, "\(file) has \(file.lines.count) lines, the limit is \(limit)")
        }
    }

    @Test("functions stay below 70 lines")
    func functionLength() {
        for file in SourceTree.swift {
            for function in Self.functions(in: file) {
                #expect(function.length <= 70, "\(file): \(function.name) has \(function.length) lines")
            }
        }
    }

    @Test("no unstructured escapes in product code")
    func escapes() {
        for file in SourceTree.product {
            for (index, line) in file.lines.enumerated() where !line.drop(while: \.isWhitespace).hasPrefix("//") {
                #expect(!line.contains("Task.detached"), "\(file): \(line)")
                #expect(!line.contains(/\bfatalError\(/), "\(file): \(line)")
                #expect(!line.contains(/\btry!/), "\(file): \(line)")
                #expect(!line.contains("TODO") && !line.contains("FIXME"), "\(file): \(line)")
                if line.contains("@unchecked Sendable") {
                    let before = file.lines[max(0, index - 12)..<index]
                    #expect(
                        before.contains { $0.contains("///") || $0.contains("//") }, "\(file): no reason beside \(line)"
                    )
                }
            }
        }
    }

    @Test("tests start programs by ChildProcess only")
    func childProcesses() {
        for file in SourceTree.files("Tests") where !file.path.hasPrefix("Tests/ArchitectureTests/") {
            #expect(!file.codeLines.contains { $0.contains(/\bProcess\(\)/) }, "\(file)")
        }
    }

    @Test("every file of Kinds is a kind in the catalogue, one each, and its stored name never changes")
    func catalogue() throws {
        let catalogue = try #require(SourceTree.files("Sources/Jobs").first { $0.path.hasSuffix("JobCatalog.swift") })
        let kinds = SourceTree.files("Sources/Jobs/Kinds")
        #expect(!kinds.isEmpty)
        for file in kinds {
            let type = file.path.split(separator: "/").last?.dropLast(".swift".count) ?? ""
            #expect(catalogue.text.contains("\(type).self"), "\(file) is not in the catalogue")
        }
        let names = kinds.flatMap { file in
            file.text.matches(of: /static let name = "([a-zA-Z.]+)"/).map { String($0.1) }
        }
        #expect(names.count == kinds.count)
        #expect(Set(names).count == names.count)
        let known: Set = [
            "team.ensure", "team.delete", "user.provision", "user.realign", "key.create", "key.revoke", "key.delete",
            "model.sync", "usage.fetchDay",
        ]
        #expect(known.isSubset(of: names), "stored jobs carry these names")
    }

    @Test("the schema version that programs need is the newest migration, and the numbers have no gap")
    func schemaVersion() {
        let versions = SourceTree.files("migrations", ending: ".sql").compactMap { file in
            file.path.split(separator: "/").last.flatMap { Int($0.prefix(4)) }
        }
        #expect(versions == Array(1...versions.count))
        #expect(SchemaVersion.required == versions.count)
    }

    @Test("the project speaks of itself only")
    func noForeignWords() {
        let forbidden = ["../" + "shared", "/" + "work/", "/" + "farm/"]
        let documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].compactMap { name in
            (try? String(contentsOf: SourceTree.root.appending(path: name), encoding: .utf8)).map {
                SourceTree.File(path: name, text: $0)
            }
        }
        for file in SourceTree.swift + SourceTree.files("docs", ending: ".md") + documents {
            for word in forbidden { #expect(!file.text.contains(word), "\(file) contains \(word)") }
        }
    }

    /// Functions by their indentation: from a line with `func` or `init` to the closing brace at the same depth.
    private static func functions(in file: SourceTree.File) -> [(name: String, length: Int)] {
        var found: [(String, Int)] = []
        var open: (name: String, indent: Int, start: Int)?
        for (index, line) in file.lines.enumerated() {
            let indent = line.prefix(while: { $0 == " " }).count
            let code = line.drop(while: { $0 == " " })
            if open == nil, code.contains(/\b(func \S+|init[?]?[<(]|deinit)/), !code.hasPrefix("//"),
                !code.hasSuffix("}")
            {
                open = (String(code.prefix(60)), indent, index)
            } else if let function = open, indent == function.indent, code.hasPrefix("}") {
                found.append((function.name, index - function.start + 1))
                open = nil
            } else if let function = open, indent < function.indent, !code.isEmpty {
                open = nil
            }
        }
        return found
    }
}
