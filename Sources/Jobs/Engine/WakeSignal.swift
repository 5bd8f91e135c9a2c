import Synchronization

/// A bell for one listener: rings coalesce until it listens, and none is lost.
final class WakeSignal: Sendable {
    private enum State {
        case quiet
        case rung
        case waiting(ticket: UInt64, CheckedContinuation<Void, Never>)
    }
    private struct Bell {
        var state = State.quiet
        var lastTicket: UInt64 = 0
    }
    private let bell = Mutex(Bell())

    func ring() {
        let waiter = bell.withLock { bell -> CheckedContinuation<Void, Never>? in
            defer { if case .waiting = bell.state { bell.state = .quiet } else { bell.state = .rung } }
            guard case .waiting(_, let continuation) = bell.state else { return nil }
            return continuation
        }
        waiter?.resume()
    }

    /// Whether somebody listens now.
    var isAwaited: Bool {
        bell.withLock { if case .waiting = $0.state { true } else { false } }
    }

    /// Returns at the next ring, or at once when it has rung since the last wait; also when the task is cancelled.
    func wait() async {
        let ticket = bell.withLock { bell -> UInt64 in
            bell.lastTicket += 1
            return bell.lastTicket
        }
        await wait(ticket)
    }

    /// As ``wait()``, but at most so long.
    func wait(atMost limit: Duration) async {
        let ticket = bell.withLock { bell -> UInt64 in
            bell.lastTicket += 1
            return bell.lastTicket
        }
        let timer = Task {
            do { try await Task.sleep(for: limit) } catch { return }
            self.leave(ticket)
        }
        await wait(ticket)
        timer.cancel()
    }

    private func wait(_ ticket: UInt64) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDone = bell.withLock { bell -> Bool in
                    if case .rung = bell.state {
                        bell.state = .quiet
                        return true
                    }
                    // The time-out or the cancellation came before the wait began.
                    if bell.lastTicket != ticket || Task.isCancelled { return true }
                    bell.state = .waiting(ticket: ticket, continuation)
                    return false
                }
                if isDone { continuation.resume() }
            }
        } onCancel: {
            self.leave(ticket)
        }
    }

    /// Ends this one wait without a ring.
    private func leave(_ ticket: UInt64) {
        let waiter = bell.withLock { bell -> CheckedContinuation<Void, Never>? in
            guard case .waiting(ticket, let continuation) = bell.state else {
                // Not waiting yet: a newer number tells the wait that its time is over.
                if bell.lastTicket == ticket { bell.lastTicket += 1 }
                return nil
            }
            bell.state = .quiet
            return continuation
        }
        waiter?.resume()
    }
}
