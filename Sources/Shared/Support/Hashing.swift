package import Crypto
package import Foundation

/// SHA-256 of the string's UTF-8 bytes as 64 lower-case hexadecimal digits.
package func sha256Hex(_ string: String) -> String {
    hexString(SHA256.hash(data: Data(string.utf8)))
}

/// SHA-256 of the bytes as 64 lower-case hexadecimal digits.
package func sha256Hex(_ bytes: some DataProtocol) -> String {
    hexString(SHA256.hash(data: bytes))
}

/// Lower-case hexadecimal digits, two for each byte.
package func hexString(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(bytes.underestimatedCount * 2)
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 0x0f)])
    }
    return String(decoding: text, as: UTF8.self)
}

/// Whether two strings are equal, in time that depends on their lengths only.
///
/// The digests are compared instead of the values: they have one length, so there is no early way out.
package func constantTimeEqual(_ lhs: String, _ rhs: String) -> Bool {
    constantTimeEqual(SHA256.hash(data: Data(lhs.utf8)), SHA256.hash(data: Data(rhs.utf8)))
}

/// Whether two digests are equal, in constant time.
package func constantTimeEqual(_ lhs: SHA256.Digest, _ rhs: SHA256.Digest) -> Bool {
    var difference: UInt8 = 0
    for (left, right) in zip(lhs, rhs) {
        difference |= left ^ right
    }
    return difference == 0
}
