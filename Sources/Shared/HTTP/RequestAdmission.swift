/// Who may use a connection and who waits, as a pure state machine: at most `perHost` requests per origin and `total`
/// altogether, the others in order of arrival.
struct RequestAdmission {
    enum Verdict: Equatable {
        case start
        case wait
        case refuse
    }

    let perHost: Int
    let total: Int
    let maxWaiting: Int
    private var active: [String: Int] = [:]
    private var activeTotal = 0
    private var waiting: [(id: UInt64, origin: String)] = []

    init(perHost: Int, total: Int, maxWaiting: Int) {
        self.perHost = max(1, perHost)
        self.total = max(1, total)
        self.maxWaiting = max(0, maxWaiting)
    }

    var waitingCount: Int { waiting.count }
    var activeCount: Int { activeTotal }

    /// Asks for a connection. After `.start` the caller owes a `release`, after `.wait` it is named by a later one.
    mutating func request(id: UInt64, origin: String) -> Verdict {
        if hasRoom(origin) {
            take(origin)
            return .start
        }
        guard waiting.count < maxWaiting else { return .refuse }
        waiting.append((id, origin))
        return .wait
    }

    /// Gives a connection back; the ids returned may start, each owing a `release` of its own.
    mutating func release(origin: String) -> [UInt64] {
        activeTotal -= 1
        active[origin, default: 1] -= 1
        if active[origin] == 0 { active[origin] = nil }
        var started: [UInt64] = []
        var index = 0
        while index < waiting.count, activeTotal < total {
            guard hasRoom(waiting[index].origin) else {
                index += 1
                continue
            }
            let next = waiting.remove(at: index)
            take(next.origin)
            started.append(next.id)
        }
        return started
    }

    /// Takes one out that waits; it owes nothing.
    mutating func withdraw(id: UInt64) {
        waiting.removeAll { $0.id == id }
    }

    private func hasRoom(_ origin: String) -> Bool {
        activeTotal < total && active[origin, default: 0] < perHost
    }

    private mutating func take(_ origin: String) {
        activeTotal += 1
        active[origin, default: 0] += 1
    }
}
