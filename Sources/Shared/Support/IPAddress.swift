/// An IPv4 or IPv6 address. IPv4 addresses that are written as IPv6 (`::ffff:192.0.2.1`) are IPv4 addresses.
package struct IPAddress: Sendable, Hashable {
    private static let mappedPrefix: UInt64 = 0xffff_0000_0000

    let high: UInt64
    let low: UInt64

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads `192.0.2.1`, `2001:db8::1` or `::ffff:192.0.2.1`; nil for everything else, zones (`%eth0`), ports and
    /// numbers with leading zeros included.
    package init?(_ text: some StringProtocol) {
        let text = Substring(text)
        guard text.utf8.count <= 45 else { return nil }
        if let address = Self.ipv4(text) {
            self.init(high: 0, low: Self.mappedPrefix | UInt64(address))
            return
        }
        let groups: [UInt16]
        if let gap = text.firstRange(of: "::") {
            guard let head = Self.groups(text[..<gap.lowerBound], mayEndInIPv4: false),
                let tail = Self.groups(text[gap.upperBound...], mayEndInIPv4: true), head.count + tail.count <= 7
            else { return nil }
            groups = head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail
        } else {
            guard let all = Self.groups(text, mayEndInIPv4: true), all.count == 8 else { return nil }
            groups = all
        }
        self.init(
            high: groups[..<4].reduce(0) { $0 << 16 | UInt64($1) },
            low: groups[4...].reduce(0) { $0 << 16 | UInt64($1) })
    }

    /// Whether this is an IPv4 address.
    package var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

    /// What one customer of a provider has: an IPv4 address, or the /64 of an IPv6 address.
    package var customer: IPNetwork { IPNetwork(self, bits: isIPv4 ? 128 : 64) }

    private static func ipv4(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                part == "0" || !part.hasPrefix("0"), let byte = UInt8(part)
            else { return nil }
            address = address << 8 | UInt32(byte)
        }
        return address
    }

    private static func groups(_ text: Substring, mayEndInIPv4: Bool) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        var groups: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if mayEndInIPv4, index == parts.count - 1, let address = ipv4(part) {
                groups += [UInt16(address >> 16), UInt16(truncatingIfNeeded: address)]
                continue
            }
            // The radix alone would let a sign pass.
            guard (1...4).contains(part.utf8.count), part.allSatisfy({ $0.isASCII && $0.isHexDigit }),
                let group = UInt16(part, radix: 16)
            else { return nil }
            groups.append(group)
        }
        return groups
    }
}

extension IPAddress: CustomStringConvertible {
    /// The one usual form: `192.0.2.1`, `2001:db8::1`.
    package var description: String {
        if isIPv4 { return [24, 16, 8, 0].map { String(low >> $0 & 0xff) }.joined(separator: ".") }
        let groups = [high, low].flatMap { half in [48, 32, 16, 0].map { half >> $0 & 0xffff } }
        // The longest run of zeros, the first of equals, and none of one group alone.
        var gap = 0..<0
        var start = 0
        for index in 0...8 where index == 8 || groups[index] != 0 {
            if index - start > max(gap.count, 1) { gap = start..<index }
            start = index + 1
        }
        func text(_ groups: ArraySlice<UInt64>) -> String {
            groups.map { String($0, radix: 16) }.joined(separator: ":")
        }
        return gap.isEmpty
            ? text(groups[...]) : "\(text(groups[..<gap.lowerBound]))::\(text(groups[gap.upperBound...]))"
    }
}

/// The addresses that begin with the same bits.
package struct IPNetwork: Sendable, Hashable {
    private let address: IPAddress
    /// Of the 128 bits of an address; an IPv4 address is the last 32 of them.
    private let bits: Int

    init(_ address: IPAddress, bits: Int) {
        self.address = IPAddress(
            high: address.high & Self.mask(min(bits, 64)), low: address.low & Self.mask(max(bits - 64, 0)))
        self.bits = bits
    }

    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or one address; bits behind the prefix are dropped.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ IPAddress($0) }) else { return nil }
        guard parts.count == 2 else {
            self.init(address, bits: 128)
            return
        }
        let offset = address.isIPv4 ? 96 : 0
        guard (1...3).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let length = Int(parts[1]), offset + length <= 128
        else { return nil }
        self.init(address, bits: offset + length)
    }

    /// Whether the address is one of them.
    package func contains(_ other: IPAddress) -> Bool {
        IPNetwork(other, bits: bits) == self
    }

    private static func mask(_ bits: Int) -> UInt64 {
        bits == 0 ? 0 : ~0 << UInt64(64 - bits)
    }
}

extension IPNetwork: CustomStringConvertible {
    /// `10.0.0.0/8`; one address alone as an address.
    package var description: String {
        guard bits < 128 else { return address.description }
        return "\(address)/\(bits >= 96 && address.isIPv4 ? bits - 96 : bits)"
    }
}
