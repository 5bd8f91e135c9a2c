extension [UInt8] {
    /// Appends an integer in network byte order.
    mutating func appendInteger(_ value: some FixedWidthInteger) {
        unsafe Swift.withUnsafeBytes(of: value.bigEndian) { bytes in
            unsafe append(contentsOf: bytes)
        }
    }

    /// Overwrites four bytes with an integer in network byte order.
    mutating func replaceInt32(at offset: Int, with value: Int32) {
        unsafe withUnsafeMutableBytes { bytes in
            unsafe bytes.storeBytes(of: value.bigEndian, toByteOffset: offset, as: Int32.self)
        }
    }
}
