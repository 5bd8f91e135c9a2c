import Crypto
import Foundation

/// Encrypts secrets that have to rest in the database, and opens them again (AES-256-GCM).
///
/// Several keys can be known at once: the first one seals, all of them open, so that a key is replaced by putting a
/// new one in front and removing the old one when nothing sealed with it is left.
///
/// A sealed value describes itself: one byte format (1), one byte length of the key id, the key id in UTF-8, 12 bytes
/// nonce, the ciphertext, 16 bytes tag. The associated data is `<purpose>:<rowId>`, so a sealed value copied into
/// another row or table does not open there.
package struct Sealer: Sendable {
    private static let format: UInt8 = 1
    private static let nonceLength = 12
    private static let tagLength = 16

    private let keys: [Key]

    /// A key with the id that sealed values name it by.
    private struct Key: Sendable {
        let id: String
        let key: SymmetricKey
    }

    /// Reads the form of `SECRETS_KEYS`: `id:base64` pairs separated by commas, the one that seals first; each value
    /// is 32 bytes in base64, an id has 1 to 32 letters, digits, dots, dashes or underscores.
    ///
    /// Throws `SealerError` with code `badKeyList`, which names the pair by position or id, never by value.
    package init(keys list: Secret) throws(SealerError) {
        var keys: [Key] = []
        let pairs = list.reveal().split(separator: ",").map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
        for (index, pair) in pairs.enumerated() where !pair.isEmpty {
            let key = try Self.parse(pair, position: index + 1)
            guard !keys.contains(where: { $0.id == key.id }) else {
                throw SealerError(.badKeyList, "key id '\(key.id)' is there twice")
            }
            keys.append(key)
        }
        guard !keys.isEmpty else {
            throw SealerError(.badKeyList, "there is no key in the list")
        }
        self.keys = keys
    }

    private init(_ keys: [Key]) {
        self.keys = keys
    }

    /// A sealer with one random key: what it seals opens only in this process.
    package static func ephemeral() -> Sealer {
        Sealer([Key(id: "ephemeral", key: SymmetricKey(size: .bits256))])
    }

    private static func parse(_ pair: String, position: Int) throws(SealerError) -> Key {
        guard let colon = pair.firstIndex(of: ":") else {
            throw SealerError(.badKeyList, "entry \(position) is not of the form id:base64")
        }
        let id = String(pair[..<colon])
        let allowed = id.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
                true
            default:
                false
            }
        }
        guard (1...32).contains(id.utf8.count), allowed else {
            throw SealerError(
                .badKeyList, "the id of entry \(position) must be 1 to 32 letters, digits, dots, dashes or underscores")
        }
        guard let bytes = Data(base64Encoded: String(pair[pair.index(after: colon)...])) else {
            throw SealerError(.badKeyList, "the value of key '\(id)' is not base64")
        }
        guard bytes.count == 32 else {
            throw SealerError(.badKeyList, "the value of key '\(id)' has \(bytes.count) bytes instead of 32")
        }
        return Key(id: id, key: SymmetricKey(data: bytes))
    }

    /// The id of the key that `seal` uses.
    package var sealingKeyId: String {
        keys[0].id
    }

    /// Encrypts `secret` for one row; `purpose` names the column or use and contains no colon.
    ///
    /// Throws `SealerError` with code `sealingFailed` when the cipher refuses.
    package func seal(_ secret: Secret, purpose: String, rowId: String) throws(SealerError) -> [UInt8] {
        let key = keys[0]
        do {
            let box = try AES.GCM.seal(
                Data(secret.reveal().utf8), using: key.key, authenticating: Self.associatedData(purpose, rowId))
            let id = Array(key.id.utf8)
            return [Self.format, UInt8(id.count)] + id + Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
        } catch {
            throw SealerError(.sealingFailed, "the value could not be sealed with key '\(key.id)'")
        }
    }

    /// Decrypts what `seal` made for the same purpose and row.
    ///
    /// Throws `SealerError`: `missingKey` (names the id that is not configured), `malformed` (not made by `seal`) or
    /// `notAuthentic` (changed, or sealed for another purpose, row or key).
    package func open(_ sealed: [UInt8], purpose: String, rowId: String) throws(SealerError) -> Secret {
        let (id, content) = try Self.split(sealed)
        guard let key = keys.first(where: { $0.id == id }) else {
            throw SealerError(.missingKey, "key id '\(id)' is not in SECRETS_KEYS", keyId: id)
        }
        let bytes: Data
        do {
            let box = try AES.GCM.SealedBox(combined: content)
            bytes = try AES.GCM.open(box, using: key.key, authenticating: Self.associatedData(purpose, rowId))
        } catch {
            throw SealerError(
                .notAuthentic, "the sealed value was changed or belongs to another row or purpose", keyId: id)
        }
        guard let text = String(bytes: bytes, encoding: .utf8) else {
            throw SealerError(.malformed, "the sealed value is not text", keyId: id)
        }
        return Secret(text)
    }

    /// The id of the key that a sealed value needs. Throws `SealerError` with code `malformed`.
    package static func keyId(of sealed: [UInt8]) throws(SealerError) -> String {
        try split(sealed).id
    }

    private static func split(_ sealed: [UInt8]) throws(SealerError) -> (id: String, content: Data) {
        guard sealed.count >= 2, sealed[0] == format else {
            throw SealerError(.malformed, "the value was not made by this program's sealing")
        }
        let end = 2 + Int(sealed[1])
        guard sealed[1] > 0, sealed.count >= end + nonceLength + tagLength,
            let id = String(bytes: sealed[2..<end], encoding: .utf8)
        else {
            throw SealerError(.malformed, "the sealed value is cut short")
        }
        return (id, Data(sealed[end...]))
    }

    private static func associatedData(_ purpose: String, _ rowId: String) -> Data {
        Data("\(purpose):\(rowId)".utf8)
    }
}

/// What went wrong while sealing or opening; carries key ids, never values.
package struct SealerError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds of failure.
    package enum Code: String, Sendable {
        /// `SECRETS_KEYS` cannot be read.
        case badKeyList = "bad_key_list"
        /// The value was sealed with a key that is not configured.
        case missingKey = "missing_key"
        /// The bytes are not a sealed value.
        case malformed
        /// The bytes were changed, or sealed for something else.
        case notAuthentic = "not_authentic"
        /// The cipher refused to seal.
        case sealingFailed = "sealing_failed"
    }

    /// The kind of failure.
    package let code: Code
    /// One sentence that is safe to show.
    package let message: String
    /// The key id that the sealed value names, where it has one.
    package let keyId: String?

    init(_ code: Code, _ message: String, keyId: String? = nil) {
        self.code = code
        self.message = message
        self.keyId = keyId
    }

    /// The message.
    package var description: String { message }
}
