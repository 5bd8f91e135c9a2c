import Foundation

/// The repository's files, as the rules read them.
enum SourceTree {
    struct File: Sendable, CustomStringConvertible {
        /// Relative to the repository, such as `Sources/Jobs/JobKind.swift`.
        let path: String
        let text: String
        var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
        var description: String { path }

        /// The text without comments and string literals' contents is not needed: rules look at whole lines of code.
        var codeLines: [Substring] {
            lines.filter { !$0.drop(while: \.isWhitespace).hasPrefix("//") }
        }
    }

    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// All files below a folder with this ending.
    static func files(_ folder: String, ending: String = ".swift") -> [File] {
        let base = root.appending(path: folder)
        guard let walker = FileManager.default.enumerator(atPath: base.path) else { return [] }
        var found: [File] = []
        for case let name as String in walker where name.hasSuffix(ending) && !name.contains(".build") {
            guard let text = try? String(contentsOf: base.appending(path: name), encoding: .utf8) else { continue }
            found.append(File(path: "\(folder)/\(name)", text: text))
        }
        return found.sorted { $0.path < $1.path }
    }

    static var swift: [File] { files("Sources") + files("ops") + files("Tests") }
    static var product: [File] { files("Sources") + files("ops") }
}
