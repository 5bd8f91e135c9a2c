/// Takes secrets out of what is logged: each becomes `sha256:<hex>`, so that calls with the same key can be told.
enum Redaction {
    /// Members whose text is a secret whatever it looks like, unless it is a hash already.
    private static let secretMembers: Set<String> = ["key", "keys", "api_key", "password", "authorization"]

    /// The text of a body: in JSON the secret members and everything that looks like a key, else the latter alone.
    static func body(_ bytes: [UInt8]) -> String {
        guard let json = JSON(parsing: bytes) else { return text(String(decoding: bytes, as: UTF8.self)) }
        return redacted(json, isSecret: false).text
    }

    /// `text` with every `sk-...` replaced.
    static func text(_ text: String) -> String {
        // Most texts hold no key, and a search is much cheaper than the expression.
        guard text.contains("sk-") else { return text }
        return text.replacing(/(?<before>^|[^A-Za-z0-9])(?<secret>sk-[A-Za-z0-9_\-]+)/) { match in
            "\(match.output.before)\(hashed(String(match.output.secret)))"
        }
    }

    /// `sha256:` and the hash of a secret.
    static func hashed(_ secret: String) -> String { "sha256:\(Identifier.sha256(secret))" }

    private static func redacted(_ json: JSON, isSecret: Bool) -> JSON {
        switch json {
        case .string(let text) where isSecret && !text.isEmpty && !isHash(text): .string(hashed(text))
        case .string(let text): .string(Self.text(text))
        case .array(let elements): .array(elements.map { redacted($0, isSecret: isSecret) })
        case .object(let members):
            .object(
                JSONObject(
                    members.map { name, value in
                        let isSecret = secretMembers.contains(name.lowercased())
                        return (text(name), redacted(value, isSecret: isSecret))
                    }, uniquingKeysWith: { _, last in last }))
        default: json
        }
    }

    private static func isHash(_ text: String) -> Bool {
        text == Ledger.masterKey || Identifier.isToken(text)
    }
}
