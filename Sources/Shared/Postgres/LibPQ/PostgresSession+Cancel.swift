import Foundation

extension PostgresSession {
    /// Cancels a request of a cancelled task: on the server when it is being carried out.
    func cancel(_ request: PostgresRequest) {
        if let index = waiting.firstIndex(where: { $0.request === request }) {
            let cancelled = waiting.remove(at: index)
            cancelled.continuation.resume(returning: .failure(PostgresCancelReason.task.error(limit: nil)))
        } else if active?.request === request {
            startCancel(.task)
        }
    }

    /// The active request's deadline has passed: of the statement, or of its cancellation.
    func deadlinePassed() {
        guard let active else { return }
        if let reason = active.cancelReason {
            end(reason.error(limit: active.request.timeout))
        } else {
            startCancel(.timeout)
        }
    }

    /// Asks the server to cancel, on a thread of its own since libpq blocks while it does that. The connection is free
    /// again when the statement has ended and the request has been answered; if that takes too long, it is closed.
    private func startCancel(_ reason: PostgresCancelReason) {
        guard let active, active.cancelReason == nil, !active.isDrained else { return }
        guard let cancelHandle else {
            end(reason.error(limit: active.request.timeout))
            return
        }
        active.cancellation = .sending(reason)
        let deadline = ContinuousClock.now + options.cancelGrace
        active.deadline = deadline
        arm(deadline)
        let request = active.request
        let thread = Thread { [loop] in
            let wasDelivered = cancelHandle.send()
            loop.submit { self.assumeIsolated { $0.cancelReturned(request, wasDelivered: wasDelivered) } }
        }
        thread.name = "postgres-cancel"
        thread.start()
    }

    private func cancelReturned(_ request: PostgresRequest, wasDelivered: Bool) {
        guard let active, active.request === request, case .sending(let reason) = active.cancellation else { return }
        guard wasDelivered else {
            end(reason.error(limit: request.timeout))
            return
        }
        active.cancellation = .sent(reason)
        finishIfDone()
    }

    // MARK: COPY

    /// Sends a piece of the data of a COPY that `request` started; waits until it has left this process.
    nonisolated func copyData(_ bytes: [UInt8], _ request: PostgresRequest) async throws(PostgresError) {
        let outcome = await perform(request, isCancellable: true) { session, continuation in
            if let reason = session.active?.cancelReason {
                continuation.resume(returning: .failure(reason.error(limit: request.timeout)))
                return
            }
            guard let connection = session.copying(request, continuation) else { return }
            guard connection.putCopyData(bytes) == .done else {
                continuation.resume(returning: .failure(connection.lastError))
                session.end(connection.lastError)
                return
            }
            session.copyWaiter = continuation
            session.flush()
        }
        _ = try outcome.get()
    }

    /// Ends a COPY; with a failure it has no effect, and the outcome is the server's word for that.
    nonisolated func copyEnd(_ request: PostgresRequest, failure: String?) async -> PostgresOutcome {
        await perform(request, isCancellable: false) { session, continuation in
            guard let connection = session.copying(request, continuation) else { return }
            guard connection.putCopyEnd(failure: failure) == .done else {
                continuation.resume(returning: .failure(connection.lastError))
                session.end(connection.lastError)
                return
            }
            session.active?.isCopying = false
            session.active?.continuation = continuation
            session.flush()
            session.receive()
        }
    }

    /// The connection if `request` is the COPY under way on it; else the step fails.
    private func copying(_ request: PostgresRequest, _ continuation: PostgresContinuation) -> LibPQConnection? {
        guard let connection, let active, active.request === request, active.isCopying else {
            let reason = lastFailure?.request === request ? lastFailure?.reason : endReason
            let error = reason ?? PostgresError(.misuse, "no COPY is under way")
            continuation.resume(returning: .failure(error))
            return nil
        }
        return connection
    }
}
