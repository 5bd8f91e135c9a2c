import Crypto
import Foundation

/// Names the simulator makes up, and hashes of secrets.
enum Identifier {
    /// A random UUID in lower case.
    static func uuid() -> String { UUID().uuidString.lowercased() }

    /// A fresh secret: `sk-` and 22 random characters.
    static func secret() -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        return "sk-" + String((0..<22).map { _ in alphabet[Int.random(in: 0..<alphabet.count)] })
    }

    /// The lower-case hex SHA-256 of `text`: LiteLLM's token of a secret.
    static func sha256(_ text: String) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let bytes = SHA256.hash(data: Data(text.utf8)).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The token `keyOrHash` means: a secret's hash, or the hash itself.
    static func token(_ keyOrHash: String) -> String {
        keyOrHash.hasPrefix("sk-") ? sha256(keyOrHash) : keyOrHash
    }

    /// True for what can be a hash.
    static func isToken(_ text: String) -> Bool { text.count == 64 && text.allSatisfy(\.isHexDigit) }

    /// `sk-...` and the last four characters of a secret.
    static func shortened(_ secret: String) -> String { "sk-...\(secret.suffix(4))" }
}
