import CLibPQ

/// Parameters in the form that libpq takes, for the length of a call.
extension PostgresParameters {
    typealias Values = UnsafePointer<UnsafePointer<CChar>?>

    func withTypes<R>(_ body: (UnsafePointer<Oid>?, Int32) throws -> R) rethrows -> R {
        guard !list.isEmpty else { return try body(nil, 0) }
        return try unsafe withUnsafeTemporaryAllocation(of: Oid.self, capacity: list.count) { types in
            for index in list.indices {
                unsafe types.initializeElement(at: index, to: list[index].type.rawValue)
            }
            return try unsafe body(types.baseAddress, Int32(list.count))
        }
    }

    /// Values, lengths and formats.
    func withValues<R>(
        _ body: (Values?, UnsafePointer<Int32>?, UnsafePointer<Int32>?, Int32) -> R
    ) -> R {
        let count = list.count
        guard count > 0 else { return body(nil, nil, nil, 0) }
        return unsafe buffer.withUnsafeBytes { buffer in
            let base = unsafe buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            return unsafe withUnsafeTemporaryAllocation(of: UnsafePointer<CChar>?.self, capacity: count) { values in
                unsafe withUnsafeTemporaryAllocation(of: Int32.self, capacity: count * 2) { numbers in
                    for index in 0..<count {
                        let parameter = list[index]
                        let value = unsafe parameter.length < 0 ? nil : base.map { unsafe $0 + parameter.offset }
                        unsafe values.initializeElement(at: index, to: value)
                        unsafe numbers.initializeElement(at: index, to: Int32(clamping: parameter.length))
                        unsafe numbers.initializeElement(at: count + index, to: parameter.isText ? 0 : 1)
                    }
                    let formats = unsafe numbers.baseAddress.map { unsafe UnsafePointer($0 + count) }
                    return unsafe body(values.baseAddress, numbers.baseAddress, formats, Int32(count))
                }
            }
        }
    }
}
