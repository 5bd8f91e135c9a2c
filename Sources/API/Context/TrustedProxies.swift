import HTTPTypes
import Shared

/// The proxies in front of this API, and whom they say they speak for.
struct TrustedProxies: Sendable {
    /// Entries of a header that are looked at; a chain of proxies is shorter.
    private static let entryLimit = 32

    let networks: [IPNetwork]

    /// The client's address: the peer's, unless that is a trusted proxy. Then the last address of `X-Forwarded-For`
    /// that is not one. What stands before it was written by strangers; so was everything before an entry that is no
    /// address.
    func client(peer: IPAddress?, headers: HTTPFields) -> IPAddress? {
        guard let peer, isTrusted(peer) else { return peer }
        var client = peer
        let entries = headers[values: .forwardedFor].flatMap {
            $0.split(separator: ",", omittingEmptySubsequences: false)
        }
        for entry in entries.suffix(Self.entryLimit).reversed() {
            guard let address = Self.address(entry) else { return client }
            client = address
            if !isTrusted(address) { return client }
        }
        return client
    }

    private func isTrusted(_ address: IPAddress) -> Bool {
        networks.contains { $0.contains(address) }
    }

    /// An entry as proxies write it: an address, which may have a port behind it, and brackets around it then.
    private static func address(_ entry: Substring) -> IPAddress? {
        let text = entry.drop { $0 == " " || $0 == "\t" }
        let trimmed = text.prefix { $0 != " " && $0 != "\t" }
        guard text.dropFirst(trimmed.count).allSatisfy({ $0 == " " || $0 == "\t" }) else { return nil }
        if let address = IPAddress(trimmed) { return address }
        if trimmed.hasPrefix("["), let end = trimmed.firstIndex(of: "]") {
            guard isPort(trimmed[trimmed.index(after: end)...]) else { return nil }
            return IPAddress(trimmed[..<end].dropFirst())
        }
        guard let colon = trimmed.firstIndex(of: ":"), isPort(trimmed[colon...]) else { return nil }
        return IPAddress(trimmed[..<colon])
    }

    private static func isPort(_ text: Substring) -> Bool {
        guard let colon = text.first else { return true }
        return colon == ":" && UInt16(text.dropFirst()) != nil
    }
}
