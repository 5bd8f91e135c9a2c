package import Foundation
import Testing

/// A program of this package, as it was built together with the tests.
package struct BuiltProgram: Sendable {
    /// What is missing, and what to do.
    package struct Missing: Error, CustomStringConvertible {
        /// One sentence.
        package let description: String
    }

    /// What a program said and how it ended.
    package struct Result: Sendable {
        /// The exit status; the signal's number plus 128 when it was killed.
        package let status: Int32
        /// Standard output.
        package let output: String
        /// Standard error.
        package let errors: String
    }

    /// Where it is.
    package let url: URL

    /// The program with this name, beside the test bundle. Throws `Missing` when it was not built.
    package init(_ name: String) throws {
        let places = [Bundle.main.bundleURL, Bundle.main.executableURL?.deletingLastPathComponent()].compactMap(\.self)
        let candidates = places.flatMap { [$0, $0.deletingLastPathComponent()] }.map { $0.appending(path: name) }
        guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0.path) }) else {
            throw Missing(description: "build \(name) first; it is in none of \(candidates.map(\.path))")
        }
        url = found
    }

    /// Runs the program to its end, with nothing but `environment` (and `PATH`).
    package func run(
        _ arguments: [String], environment: [String: String], directory: URL? = nil
    ) async throws -> Result {
        let scratch = FileManager.default.temporaryDirectory.appending(path: "program-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)
        defer {
            do {
                try FileManager.default.removeItem(at: scratch)
            } catch {
                Issue.record(error)
            }
        }
        let output = scratch.appending(path: "output")
        let errors = scratch.appending(path: "errors")
        let process = try ChildProcess(
            url, arguments, environment: Self.environment(environment), directory: directory, output: output,
            errors: errors)
        let status = await process.wait()
        return Result(
            status: status, output: try String(contentsOf: output, encoding: .utf8),
            errors: try String(contentsOf: errors, encoding: .utf8))
    }

    /// What a program gets: the given variables and a `PATH`.
    static func environment(_ variables: [String: String]) -> [String: String] {
        ["PATH": "/usr/bin:/bin"].merging(variables) { _, new in new }
    }
}
