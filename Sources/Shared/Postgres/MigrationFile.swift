package import Foundation

/// One file of `migrations/`: `NNNN_snake_name.sql`.
package struct MigrationFile: Sendable, Equatable {
    /// The number in front of the name.
    package let version: Int
    /// The name without number and ending.
    package let name: String
    /// The file's name.
    package let fileName: String
    /// The statements.
    package let sql: String
    /// SHA-256 of the file's bytes in hexadecimal.
    package let checksum: String

    /// The first line of a file whose statements cannot be run in a transaction.
    private static let outsideTransactionMark = "-- migrate: no-transaction"

    /// Whether the file is run in a transaction of its own.
    package var isTransactional: Bool {
        sql.prefix { !$0.isNewline }.trimmingCharacters(in: .whitespaces) != Self.outsideTransactionMark
    }

    /// Reads a directory; files that do not end in `.sql` are ignored.
    ///
    /// Throws `MigrationError` when the directory or a file cannot be read, a name has another form, or the versions
    /// are not 1, 2, 3, … without gap.
    package static func read(directory: URL) throws(MigrationError) -> [MigrationFile] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory.path)
        } catch {
            throw MigrationError(.unreadable, "the directory \(directory.path) cannot be read: \(error)")
        }
        var files: [MigrationFile] = []
        for name in names.filter({ $0.hasSuffix(".sql") }).sorted() {
            files.append(try read(directory.appendingPathComponent(name), name))
        }
        for (index, file) in files.enumerated() where file.version != index + 1 {
            let expected = String(repeating: "0", count: max(4 - "\(index + 1)".count, 0)) + "\(index + 1)"
            throw MigrationError(
                .badFile,
                "\(file.fileName) stands where number \(expected) should: number the files without gap, each once")
        }
        return files
    }

    private static func read(_ url: URL, _ fileName: String) throws(MigrationError) -> MigrationFile {
        guard let match = fileName.wholeMatch(of: /([0-9]{4})_([a-z0-9]+(?:_[a-z0-9]+)*)\.sql/),
            let version = Int(match.1)
        else {
            throw MigrationError(.badFile, "\(fileName) is not named like 0001_snake_name.sql")
        }
        let data: Data
        do {
            data = try Data(contentsOf: url)
        } catch {
            throw MigrationError(.unreadable, "\(fileName) cannot be read: \(error)")
        }
        guard let sql = String(bytes: data, encoding: .utf8), !sql.contains("\0") else {
            throw MigrationError(.badFile, "\(fileName) is not UTF-8 text")
        }
        return MigrationFile(
            version: version, name: String(match.2), fileName: fileName, sql: sql, checksum: sha256Hex(data))
    }
}

/// Why migrations cannot go on. The message says what to do.
package struct MigrationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds of failure.
    package enum Code: String, Sendable {
        /// A file or the directory cannot be read.
        case unreadable
        /// A file has a wrong name, number or content.
        case badFile = "bad_file"
        /// An applied file was edited or removed afterwards.
        case changedFile = "changed_file"
        /// The database has migrations that the files do not have.
        case databaseIsNewer = "database_is_newer"
        /// The database lacks migrations that the program needs.
        case databaseIsOlder = "database_is_older"
        /// Another migration is under way.
        case locked
        /// The statements of a file failed; its transaction was rolled back.
        case failed
        /// The scratch database for `validate` cannot be made.
        case noScratchDatabase = "no_scratch_database"
    }

    /// The kind of failure.
    package let code: Code
    /// What happened and what to do.
    package let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    package var description: String { message }
}
