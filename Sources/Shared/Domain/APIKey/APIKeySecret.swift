package import Foundation

/// A fresh secret for an API key, and what may be kept of it.
package struct APIKeySecret: Sendable {
    /// `sk-` and 43 characters of base64url. Shown to its owner once, otherwise only sealed.
    package let secret: Secret
    /// SHA-256 in hexadecimal: LiteLLM's token id.
    package var hash: String { Self.hash(of: secret) }
    /// The first seven characters, by which people recognise their keys.
    package var prefix: String { String(secret.reveal().prefix(7)) }

    /// Wraps an existing secret.
    package init(_ secret: Secret) {
        self.secret = secret
    }

    /// Makes a secret of 32 bytes from the system's cryptographic source.
    package static func mint() -> APIKeySecret {
        APIKeySecret(Secret("sk-" + randomToken()))
    }

    /// The hash of a secret that somebody presents.
    package static func hash(of secret: Secret) -> String {
        sha256Hex(secret.reveal())
    }
}

/// The name that LiteLLM knows a key by. It holds the whole id and so is unique for ever.
package enum APIKeyAlias {
    /// `<name>_<id>`: of the name only ASCII letters, digits, dots, dashes and underscores stay, 50 at most; a name of
    /// which nothing is left becomes `key`.
    package static func make(name: String?, id: UUID) -> String {
        var kept = ""
        for scalar in (name ?? "").unicodeScalars where kept.count < 50 {
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9", ".", "-", "_": kept.unicodeScalars.append(scalar)
            case " ": kept.append("-")
            default: continue
            }
        }
        return "\(kept.contains(where: { $0 != "-" }) ? kept : "key")_\(id.text)"
    }
}
