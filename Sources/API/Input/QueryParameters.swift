import Shared

/// The query of a request, decoded. Lists may come as `a[]=`, `a[0]=`, repeated or as one value.
struct QueryParameters: Sendable {
    /// More parameters than any client of ours sends; a bound on work, not on meaning.
    private static let limit = 500

    private let pairs: [(name: String, value: String)]

    /// Throws `APIError` 400 when a percent escape is broken, the text is not UTF-8 or holds NUL.
    init(_ query: String?) throws(APIError) {
        var pairs: [(name: String, value: String)] = []
        for part in (query ?? "").split(separator: "&") {
            guard pairs.count < Self.limit else {
                throw APIError.validation("query", .length, "has more than \(Self.limit) parameters")
            }
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentCoding.decode(sides[0], plusIsSpace: true),
                let value = sides.count == 2 ? PercentCoding.decode(sides[1], plusIsSpace: true) : ""
            else {
                throw APIError.validation("query", .format, "is not valid percent-encoded UTF-8 without NUL")
            }
            pairs.append((name: Self.base(of: name), value: value))
        }
        self.pairs = pairs
    }

    /// `a[]` and `a[3]` mean `a`.
    private static func base(of name: String) -> String {
        guard name.last == "]", let bracket = name.firstIndex(of: "["), bracket != name.startIndex else { return name }
        let index = name[name.index(after: bracket)...].dropLast()
        return index.utf8.allSatisfy { (0x30...0x39).contains($0) } ? String(name[..<bracket]) : name
    }

    /// The value of a parameter that is given once; of several the last one, as clients that override expect.
    subscript(name: String) -> String? {
        pairs.last { $0.name == name }?.value
    }

    /// Every value given under the name.
    func all(_ name: String) -> [String] {
        pairs.filter { $0.name == name }.map(\.value)
    }
}

/// Percent encoding of URLs.
enum PercentCoding {
    /// Nil when an escape is broken, the result is not UTF-8 or holds NUL, which the database cannot store.
    static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var iterator = text.utf8.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = iterator.next().flatMap(value), let low = iterator.next().flatMap(value) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: bytes.append(0x20)
            default: bytes.append(byte)
            }
        }
        guard !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }

    /// Escapes everything but letters, digits and `-._~`.
    static func encode(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                bytes.append(byte)
            default:
                bytes.append(UInt8(ascii: "%"))
                bytes.append(contentsOf: hexString([byte]).uppercased().utf8)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
