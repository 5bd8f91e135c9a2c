import CLibPQ

/// One connection of libpq, closed exactly once, when this goes.
///
/// Not Sendable: it belongs to the thread that connects until it is handed over, then to the event loop. Nothing here
/// blocks: the socket is non-blocking, and results are only asked for when they have arrived.
@safe
final class LibPQConnection {
    enum Flush {
        case done, pending, failed
    }

    private let pointer: OpaquePointer

    /// Takes over a connection that is open, and puts it in non-blocking pipeline mode.
    init?(_ pointer: OpaquePointer) {
        unsafe self.pointer = pointer
        unsafe clibpq_silence_notices(pointer)
        guard unsafe PQsetnonblocking(pointer, 1) == 0, enterPipeline() else { return nil }
    }

    deinit {
        unsafe PQfinish(pointer)
    }

    var socket: Int32 { unsafe PQsocket(pointer) }
    var isBroken: Bool { unsafe PQstatus(pointer) != CONNECTION_OK }
    var isInTransaction: Bool { unsafe PQtransactionStatus(pointer) != PQTRANS_IDLE }
    var hasFailedTransaction: Bool { unsafe PQtransactionStatus(pointer) == PQTRANS_INERROR }
    var processID: Int32 { unsafe PQbackendPID(pointer) }

    /// The error of the last failure of the connection itself.
    var lastError: PostgresError {
        let message = unsafe PQerrorMessage(pointer).map { unsafe String(cString: $0) } ?? ""
        return PostgresError(.connection, PostgresServerMessage.oneLine("connection lost: \(message)"))
    }

    /// The handle that cancels what runs on this connection; nil when libpq has no memory for it.
    func makeCancel() -> LibPQCancel? {
        unsafe PQgetCancel(pointer).map { unsafe LibPQCancel($0) }
    }

    // MARK: Receiving

    /// Takes in what has arrived; false when the connection is lost.
    func consumeInput() -> Bool {
        repeat {
            guard unsafe PQconsumeInput(pointer) == 1 else { return false }
        } while unsafe clibpq_tls_pending(pointer) > 0
        return true
    }

    /// Whether the next result has not arrived yet.
    var isBusy: Bool { unsafe PQisBusy(pointer) == 1 }

    /// The next result; nil ends the results of one command. Only when `isBusy` is false: otherwise it would block.
    func nextResult() -> LibPQResult? {
        unsafe PQgetResult(pointer).map { unsafe LibPQResult($0) }
    }

    /// The next notification that has arrived.
    func nextNotification() -> (channel: String, payload: String)? {
        guard let notification = unsafe PQnotifies(pointer) else { return nil }
        defer { unsafe PQfreemem(notification) }
        return unsafe (String(cString: notification.pointee.relname), String(cString: notification.pointee.extra))
    }

    // MARK: Sending

    /// Sends as much as the socket takes.
    func flush() -> Flush {
        switch unsafe PQflush(pointer) {
        case 0: .done
        case 1: .pending
        default: .failed
        }
    }

    /// Ends a pipeline: its result is `sync`.
    func sync() -> Bool {
        unsafe PQpipelineSync(pointer) == 1
    }

    func enterPipeline() -> Bool {
        unsafe PQenterPipelineMode(pointer) == 1
    }

    func exitPipeline() -> Bool {
        unsafe PQexitPipelineMode(pointer) == 1
    }

    /// Sends text of any number of statements; outside pipeline mode.
    func sendScript(_ sql: String) -> Bool {
        unsafe PQsendQuery(pointer, sql) == 1
    }

    func sendPrepare(name: String, _ query: PostgresQuery) -> Bool {
        unsafe query.parameters.withTypes { types, count in
            unsafe PQsendPrepare(pointer, name, query.sql, count, types) == 1
        }
    }

    func sendPrepared(name: String, _ parameters: PostgresParameters) -> Bool {
        unsafe parameters.withValues { values, lengths, formats, count in
            unsafe PQsendQueryPrepared(pointer, name, count, values, lengths, formats, 1) == 1
        }
    }

    /// Sends a statement without leaving a prepared one behind.
    func sendQuery(_ query: PostgresQuery) -> Bool {
        unsafe query.parameters.withTypes { types, _ in
            unsafe query.parameters.withValues { values, lengths, formats, count in
                unsafe PQsendQueryParams(pointer, query.sql, count, types, values, lengths, formats, 1) == 1
            }
        }
    }

    // MARK: COPY, outside pipeline mode

    /// Queues a piece of COPY data; `pending` when there is no room for it yet.
    func putCopyData(_ bytes: [UInt8]) -> Flush {
        let outcome = unsafe bytes.withUnsafeBytes { buffer in
            unsafe PQputCopyData(pointer, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(buffer.count))
        }
        return switch outcome {
        case 1: .done
        case 0: .pending
        default: .failed
        }
    }

    /// Ends COPY; with a reason the server drops what it got.
    func putCopyEnd(failure: String?) -> Flush {
        switch unsafe PQputCopyEnd(pointer, failure) {
        case 1: .done
        case 0: .pending
        default: .failed
        }
    }
}
