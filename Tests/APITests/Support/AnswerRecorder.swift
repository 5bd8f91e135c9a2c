import Foundation
import HTTPTypes
import Shared
import Synchronization

@testable import API

/// Writes every answer that a test got to the file of `RECORD_ANSWERS`, one JSON line each, so that `ops/test openapi`
/// can hold them against the API's description.
final class AnswerRecorder: Sendable {
    /// The recorder of this process; nil unless `RECORD_ANSWERS` names a file that can be written.
    static let shared: AnswerRecorder? = ProcessInfo.processInfo.environment["RECORD_ANSWERS"].map(AnswerRecorder.init)

    private let file: Mutex<FileHandle>

    private init(path: String) {
        guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path)
        else { preconditionFailure("RECORD_ANSWERS: \(path) cannot be written") }
        self.file = Mutex(file)
    }

    /// - Parameter routes: those of the API that answered.
    func record(_ method: HTTPRequest.Method, _ path: String, _ answer: Answer, among routes: [Route]) throws {
        let line = RecordedAnswer(
            method: method.rawValue, path: Self.template(of: path, among: routes), status: answer.status,
            contentType: answer.headers[.contentType], body: answer.text)
        let bytes = try JSON.encoder.encode(line) + Data("\n".utf8)
        try file.withLock { try $0.write(contentsOf: bytes) }
    }

    /// The route's path as the description writes it: of several that match, the one with the fewest parameters.
    private static func template(of path: String, among routes: [Route]) -> String? {
        let segments = Self.segments(path.prefix { $0 != "?" && $0 != "#" })
        let matching = Set(routes.map(\.path)).filter { template in
            let wanted = Self.segments(template[...])
            return wanted.count == segments.count
                && zip(wanted, segments).allSatisfy { $0.hasPrefix("{") ? !$1.isEmpty : $0 == $1 }
        }
        return matching.min { $0.count { $0 == "{" } < $1.count { $0 == "{" } }
    }

    private static func segments(_ path: Substring) -> [Substring] {
        path.split(separator: "/", omittingEmptySubsequences: false)
    }
}

private struct RecordedAnswer: Encodable {
    let method: String
    let path: String?
    let status: Int
    let contentType: String?
    let body: String
}
