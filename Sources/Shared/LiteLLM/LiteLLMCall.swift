import Foundation

/// One request to LiteLLM, before it is sent.
struct LiteLLMCall: Sendable {
    /// What a refusal may be about; decides how an answer is read.
    enum Subject: Sendable, Equatable {
        case key
        case user
        case team(id: String)
        case model
        case usage
        case health
    }

    var method: HTTPClientRequest.Method
    /// The path without values, for logs.
    var path: String
    /// What stands for the `{}` of the path.
    var pathValue: String?
    var query: [(String, String)] = []
    var body: [UInt8] = []
    var subject: Subject
    /// Whether it is the second read that confirms a refused master key.
    var confirmsMasterKey = false
    /// Whether a 404 or 405 is trouble; else it says that the release is one without the route.
    var isInEveryRelease = true
    /// Whether it changes something.
    var isWrite: Bool { method != .get }
    var upstream: Upstream { subject == .usage ? .litellmUsage : .litellmAdmin }

    static func get(_ path: String, _ query: [(String, String)] = [], about subject: Subject) -> LiteLLMCall {
        LiteLLMCall(method: .get, path: path, query: query, subject: subject)
    }

    /// A call with a JSON body.
    /// - Throws: ``LiteLLMError`` `invalid_request` when the body cannot be written as JSON.
    static func send(
        _ method: HTTPClientRequest.Method = .post, _ path: String, value: String? = nil, _ body: some Encodable,
        about subject: Subject
    ) throws(LiteLLMError) -> LiteLLMCall {
        do {
            let bytes = [UInt8](try JSON.encoder.encode(body))
            return LiteLLMCall(method: method, path: path, pathValue: value, body: bytes, subject: subject)
        } catch {
            // The error of the coder may quote the body.
            throw LiteLLMError(
                .permanent, code: LiteLLMError.Code.invalidRequest, message: "\(path): the body is not JSON")
        }
    }

    /// Path and query, percent-encoded.
    var target: String {
        let path = path.replacing("{}", with: percentEncoded(pathValue ?? ""))
        guard !query.isEmpty else { return path }
        return path + "?" + query.map { "\(percentEncoded($0.0))=\(percentEncoded($0.1))" }.joined(separator: "&")
    }
}

/// All but the unreserved characters as `%XX`.
private func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var encoded: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            encoded.append(byte)
        default:
            encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: encoded, as: UTF8.self)
}
