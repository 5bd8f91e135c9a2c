import Foundation
import Yams

/// Rows of the tables in a document: their cells, without the blanks around them.
enum MarkdownTable {
    /// - Parameters:
    ///   - path: relative to the repository.
    ///   - cells: rows with another number are not meant.
    static func rows(_ path: String, cells: Int) throws -> [[String]] {
        try String(contentsOf: SourceTree.root.appending(path: path), encoding: .utf8)
            .split(separator: "\n").filter { $0.hasPrefix("|") && !$0.hasPrefix("|---") }
            .map { line in
                line.dropFirst().dropLast().split(separator: "|", omittingEmptySubsequences: false)
                    .map { $0.trimmingCharacters(in: .whitespaces) }
            }
            .filter { $0.count == cells }
    }
}

extension String {
    /// What stands in backticks in it.
    var quoted: [String] { matches(of: /`([^`]+)`/).map { String($0.1) } }
}

/// The tests that there are.
enum KnownTests {
    private static let texts = SourceTree.files("Tests").map(\.text)

    /// Whether there is a test of this name: suite and function, such as `KeyCreateTests/survives`.
    static func contain(_ name: String) -> Bool {
        let parts = name.split(separator: "/")
        guard parts.count == 2 else { return false }
        return texts.contains { $0.contains("struct \(parts[0]) {") && $0.contains("func \(parts[1])(") }
    }
}

/// The API's description, as far as the rules need it.
enum DescribedAPI {
    /// Method and path of each operation.
    static func operations() throws -> [String] {
        let url = SourceTree.root.appending(path: "Sources/API/OpenAPI/openapi.yaml")
        let paths = try Yams.compose(yaml: String(contentsOf: url, encoding: .utf8))?["paths"]?.mapping
        return (paths ?? [:]).flatMap { path, item in
            (item.mapping ?? [:]).keys.compactMap(\.string)
                .filter { ["get", "put", "post", "patch", "delete"].contains($0) }
                .map { "\($0.uppercased()) \(path.string ?? "")" }
        }
    }
}
