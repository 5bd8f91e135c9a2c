import Foundation
import HTTPTypes

/// One HTTP request, read to its end.
struct Call: Sendable {
    /// Counts the calls of this process from 1.
    let id: Int
    /// Upper case.
    let method: String
    /// Path and query as they were sent.
    let target: String
    /// The decoded path.
    let path: String
    /// The decoded query; of a repeated name the last value.
    let query: [String: String]
    let headers: HTTPFields
    let body: [UInt8]

    init(id: Int, method: String, target: String, headers: HTTPFields = [:], body: [UInt8] = []) {
        self.id = id
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(parts[0]).removingPercentEncoding ?? String(parts[0])
        query = parts.count > 1 ? Self.parse(query: parts[1]) : [:]
    }

    private static func parse(query: Substring) -> [String: String] {
        var values: [String: String] = [:]
        for pair in query.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            values[decoded(parts[0])] = parts.count > 1 ? decoded(parts[1]) : ""
        }
        return values
    }

    private static func decoded(_ text: Substring) -> String {
        let spaced = text.replacing("+", with: " ")
        return spaced.removingPercentEncoding ?? String(spaced)
    }
}

extension HTTPFields {
    /// The value of the header `name`, whatever its case.
    func value(of name: String) -> String? {
        guard let name = HTTPField.Name(name) else { return nil }
        return self[name]
    }
}
