import CLibPQ

/// What is needed to cancel the statement of one connection, independent of the connection itself.
///
/// `@unchecked Sendable`: libpq never changes a `PGcancel` after making it and documents that `PQcancel` may be called
/// from any thread. It is freed exactly once, here.
@safe
final class LibPQCancel: @unchecked Sendable {
    private let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit {
        unsafe PQfreeCancel(pointer)
    }

    /// Asks the server to cancel, over a connection of its own. Blocks until the server has taken note, so it belongs
    /// on a thread of its own. False when the request could not be delivered.
    func send() -> Bool {
        var message = [CChar](repeating: 0, count: 256)
        let capacity = Int32(message.count)
        return unsafe PQcancel(pointer, &message, capacity) == 1
    }
}
