import Synchronization

/// Requests that wait: for a time to pass, or until they are released by name. Every wait has a limit.
final class Waiting: Sendable {
    /// How a wait ended.
    enum End: Sendable {
        /// It was released, or its time is over: the request goes on.
        case goOn
        /// The simulator stops or was reset, or nobody released it in time: the connection is dropped.
        case giveUp
    }

    /// A request that is held.
    struct Held: Sendable {
        let id: Int
        let name: String
        let call: Call
        let since: Moment
    }

    private struct Waiter {
        let held: Held?
        let continuation: CheckedContinuation<End, Never>
        let timer: Task<Void, Never>

        func finish(_ end: End) {
            timer.cancel()
            continuation.resume(returning: end)
        }
    }

    private struct Room {
        var waiters: [Int: Waiter] = [:]
        var lastID = 0
        var isClosed = false
    }

    /// How long a request is held at most.
    static let longestHold = Duration.seconds(600)

    private let room = Mutex(Room())

    /// Waits for `duration`.
    func pause(_ duration: Duration) async -> End { await wait(held: nil, atMost: duration, then: .goOn) }

    /// Waits until `name` is released, at most ``longestHold``.
    func hold(_ call: Call, as name: String) async -> End {
        await wait(held: (name, call), atMost: Self.longestHold, then: .giveUp)
    }

    /// The requests that are held now, longest first.
    var held: [Held] { room.withLock { $0.waiters.values.compactMap(\.held) }.sorted { $0.id < $1.id } }

    /// Lets every request go on that is held as `name`.
    ///
    /// - Returns: how many there were.
    func release(_ name: String) -> Int { finish(.goOn) { $0?.name == name } }

    /// Ends every wait by dropping the connection.
    func giveUpAll() { _ = finish(.giveUp) { _ in true } }

    /// Ends every wait, those to come included.
    func close() {
        room.withLock { $0.isClosed = true }
        giveUpAll()
    }

    private func wait(held: (name: String, call: Call)?, atMost limit: Duration, then end: End) async -> End {
        await withCheckedContinuation { continuation in
            let mayWait = room.withLock { room in
                guard !room.isClosed else { return false }
                room.lastID += 1
                let id = room.lastID
                room.waiters[id] = Waiter(
                    held: held.map { Held(id: id, name: $0.name, call: $0.call, since: Moment(nowPlus: 0)) },
                    continuation: continuation, timer: timer(limit) { self.finish(end, id: id) })
                return true
            }
            if !mayWait { continuation.resume(returning: .giveUp) }
        }
    }

    private func timer(_ limit: Duration, _ finish: @escaping @Sendable () -> Void) -> Task<Void, Never> {
        Task {
            do {
                try await Task.sleep(for: limit)
                finish()
            } catch {
                // Cancelled: the wait has ended already.
            }
        }
    }

    private func finish(_ end: End, id: Int) {
        room.withLock { $0.waiters.removeValue(forKey: id) }?.finish(end)
    }

    private func finish(_ end: End, where which: (Held?) -> Bool) -> Int {
        let found = room.withLock { room in
            let found = room.waiters.filter { which($0.value.held) }
            for id in found.keys { room.waiters[id] = nil }
            return Array(found.values)
        }
        for waiter in found { waiter.finish(end) }
        return found.count
    }
}
