import Synchronization

/// Keeps secrets out of logs and messages: by the name of a field, and by what a value looks like.
///
/// The second net under `Secret`, for text that comes from elsewhere (an error of a library, a foreign answer).
package enum Redaction {
    /// What stands in place of a secret.
    package static let placeholder = "redacted"

    /// Words that make a name secret wherever they stand in it.
    private static let secretWords: Set<String> = [
        "password", "passwd", "pwd", "secret", "secrets", "authorization", "cookie", "credential", "credentials",
        "jwt", "bearer", "passphrase",
    ]
    /// Words that make a following `key` secret: `api_key`, `masterKey`, but not `order_key`.
    private static let keyOwners: Set<String> = ["api", "private", "master", "signing", "encryption", "litellm"]

    /// Whether a field of this name holds a secret: `password`, `clientSecret`, `access_token`, `X-Api-Key`, ...
    ///
    /// Counts (`max_tokens`) and identifiers (`api_key_id`) are none.
    package static func isSecretName(_ name: String) -> Bool {
        if let known = names.withLock({ $0[name] }) { return known }
        let isSecret = spellsSecret(name)
        names.withLock { names in
            if names.count < namesLimit, name.utf8.count <= longestKept { names[name] = isSecret }
        }
        return isSecret
    }

    /// What is known of names: a log asks for the same few at each line.
    private static let names = Mutex<[String: Bool]>([:])
    private static let namesLimit = 1000
    private static let longestKept = 64

    private static func spellsSecret(_ name: String) -> Bool {
        let words = words(of: name)
        if words.contains(where: secretWords.contains) || words.joined() == "apikey" { return true }
        guard let last = words.last else { return false }
        if last == "token" || last == "apikey" { return true }
        return last == "key" && words.count > 1 && keyOwners.contains(words[words.count - 2])
    }

    /// `value` with everything that looks like a secret replaced: `sk-...` keys, `ltm_admin_...` tokens, JWTs,
    /// `Bearer ...` and the password in a URL.
    package static func text(_ value: String) -> String {
        var bytes = Array(value.utf8)
        let found = secretRanges(in: bytes)
        guard !found.isEmpty else { return value }
        for range in found.reversed() {
            bytes.replaceSubrange(range, with: placeholder.utf8)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Splits at punctuation and at the humps of camel case; in lower case.
    private static func words(of name: String) -> [String] {
        var words: [String] = []
        var current = ""
        var previousIsLower = false
        for character in name {
            let isSeparator = !character.isLetter && !character.isNumber
            if isSeparator || (character.isUppercase && previousIsLower) {
                if !current.isEmpty { words.append(current) }
                current = ""
            }
            if !isSeparator { current += character.lowercased() }
            previousIsLower = character.isLowercase || character.isNumber
        }
        if !current.isEmpty { words.append(current) }
        return words
    }

    private static func secretRanges(in bytes: [UInt8]) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var index = 0
        while index < bytes.count {
            if let range = secretRange(in: bytes, at: index) {
                ranges.append(range)
                index = range.upperBound
            } else {
                index += 1
            }
        }
        return ranges
    }

    /// The secret that begins at `index`, or that follows a mark (`Bearer`, `://`) which begins there.
    private static func secretRange(in bytes: [UInt8], at index: Int) -> Range<Int>? {
        if bytes[index] == UInt8(ascii: ":") { return urlPassword(in: bytes, at: index) }
        guard index == 0 || !isAlphanumeric(bytes[index - 1]) else { return nil }
        switch bytes[index] {
        case UInt8(ascii: "s"):
            return token(in: bytes, at: index, prefix: "sk-", minimum: 4)
        case UInt8(ascii: "l"):
            return token(in: bytes, at: index, prefix: "ltm_admin_", minimum: 4)
        case UInt8(ascii: "e"):
            return webToken(in: bytes, at: index)
        case UInt8(ascii: "B"), UInt8(ascii: "b"):
            guard matches("bearer ", in: bytes, at: index, ignoringCase: true) else { return nil }
            let start = index + 7
            let end = bytes[start...].firstIndex(where: { !isTokenByte($0) && $0 != UInt8(ascii: ".") })
            return (end ?? bytes.count) - start >= 8 ? start..<(end ?? bytes.count) : nil
        default:
            return nil
        }
    }

    private static func token(in bytes: [UInt8], at index: Int, prefix: String, minimum: Int) -> Range<Int>? {
        guard matches(prefix, in: bytes, at: index) else { return nil }
        let start = index + prefix.utf8.count
        let end = bytes[start...].firstIndex(where: { !isTokenByte($0) }) ?? bytes.count
        return end - start >= minimum ? index..<end : nil
    }

    /// Three base64url parts with dots between them, the first of which begins like `{"` does.
    private static func webToken(in bytes: [UInt8], at index: Int) -> Range<Int>? {
        guard matches("eyJ", in: bytes, at: index) else { return nil }
        let end = bytes[index...].firstIndex(where: { !isTokenByte($0) && $0 != UInt8(ascii: ".") }) ?? bytes.count
        let dots = bytes[index..<end].count(where: { $0 == UInt8(ascii: ".") })
        return dots >= 2 && end - index >= 20 ? index..<end : nil
    }

    /// The password in `scheme://user:password@host`; `index` is at the scheme's colon.
    private static func urlPassword(in bytes: [UInt8], at index: Int) -> Range<Int>? {
        guard matches("://", in: bytes, at: index), index > 0, isAlphanumeric(bytes[index - 1]) else { return nil }
        let start = index + 3
        let end = bytes[start...].firstIndex(where: { $0 <= 0x20 || "/?#\"'<>".utf8.contains($0) }) ?? bytes.count
        guard let at = bytes[start..<end].lastIndex(of: UInt8(ascii: "@")),
            let colon = bytes[start..<at].firstIndex(of: UInt8(ascii: ":")), colon + 1 < at
        else { return nil }
        return colon + 1..<at
    }

    /// Whether the ASCII `text` stands at `index`; with `ignoringCase`, `text` is in lower case.
    private static func matches(
        _ text: String, in bytes: [UInt8], at index: Int, ignoringCase: Bool = false
    ) -> Bool {
        let text = text.utf8
        guard index + text.count <= bytes.count else { return false }
        return zip(text, bytes[index...]).allSatisfy { expected, byte in
            byte == expected || (ignoringCase && byte | 0x20 == expected)
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default:
            false
        }
    }

    private static func isTokenByte(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }
}
