import Foundation

/// Something that must appear nowhere.
struct Hidden: Sendable {
    /// What it is called when it is found; the secret itself is never printed.
    let name: String
    let bytes: [UInt8]

    init(_ name: String, _ bytes: some Sequence<UInt8>) {
        self.name = name
        self.bytes = Array(bytes)
    }

    /// A secret as it is written, without the `sk-` that a log might strip.
    init(_ name: String, text: String) {
        self.init(name, (text.hasPrefix("sk-") ? text.dropFirst(3) : Substring(text)).utf8)
    }
}

/// The forms in which a secret may lie about.
enum Disguise: Hashable, Sendable, CaseIterable, CustomStringConvertible {
    case clear
    case hex(isUpperCase: Bool)
    /// As part of something longer that was encoded as a whole, `offset` bytes (modulo 3) after its beginning.
    case base64(offset: Int, isURLSafe: Bool)

    static let allCases: [Disguise] =
        [.clear, .hex(isUpperCase: false), .hex(isUpperCase: true)]
        + (0..<3).flatMap { [.base64(offset: $0, isURLSafe: false), .base64(offset: $0, isURLSafe: true)] }

    var description: String {
        switch self {
        case .clear: "in clear"
        case .hex(let isUpperCase): isUpperCase ? "in upper-case hex" : "in hex"
        case .base64(let offset, let isURLSafe): "in \(isURLSafe ? "url-safe " : "")base64 at offset \(offset)"
        }
    }

    /// What to look for: the characters that depend on the secret alone.
    func pattern(of secret: [UInt8]) -> [UInt8] {
        switch self {
        case .clear: return secret
        case .hex(let isUpperCase):
            let digits = Array((isUpperCase ? "0123456789ABCDEF" : "0123456789abcdef").utf8)
            return secret.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        case .base64(let offset, let isURLSafe):
            // Each character holds 6 bits; the first and the last one may hold bits of the neighbours.
            let text = Data([UInt8](repeating: 0, count: offset) + secret).base64EncodedString()
            let first = (offset * 8 + 5) / 6
            let end = (offset + secret.count) * 8 / 6
            return Array(text.utf8)[first..<end].map { isURLSafe ? Self.urlSafe($0) : $0 }
        }
    }

    private static func urlSafe(_ character: UInt8) -> UInt8 {
        switch character {
        case UInt8(ascii: "+"): UInt8(ascii: "-")
        case UInt8(ascii: "/"): UInt8(ascii: "_")
        default: character
        }
    }
}

/// Looks for secrets in whatever was written.
struct SecretSearch: Sendable {
    struct Finding: Hashable, Sendable, CustomStringConvertible {
        let secret: String
        let disguise: Disguise
        let place: String

        var description: String { "\(secret) \(disguise) in \(place)" }
    }

    let secrets: [Hidden]

    /// Every secret that is in `data`, in every form it has there.
    func findings(in data: Data, called place: String) -> Set<Finding> {
        var found: Set<Finding> = []
        for secret in secrets {
            for disguise in Disguise.allCases where data.range(of: Data(disguise.pattern(of: secret.bytes))) != nil {
                found.insert(Finding(secret: secret.name, disguise: disguise, place: place))
            }
        }
        return found
    }
}
