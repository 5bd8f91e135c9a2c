import Shared
import Synchronization

/// The numbers that stand for queue and kind names in the tables. They never change once given, so each process
/// keeps what it has seen.
final class JobNames: Sendable {
    private struct Tables {
        var queueIds: [String: Int16] = [:]
        var queueNames: [Int16: String] = [:]
        var kindIds: [String: Int16] = [:]
        var kindNames: [Int16: String] = [:]
    }
    private let tables = Mutex(Tables())

    func queueId(_ name: String) throws -> Int16 {
        guard let id = tables.withLock({ $0.queueIds[name] }) else { throw JobQueueError.unknownQueue(name) }
        return id
    }

    func kindId(_ name: String) throws -> Int16 {
        guard let id = tables.withLock({ $0.kindIds[name] }) else { throw JobQueueError.unknownKind(name) }
        return id
    }

    /// The stored number as text for a name this process has not read yet.
    func queueName(_ id: Int16) -> String { tables.withLock { $0.queueNames[id] } ?? "#\(id)" }

    /// The stored number as text for a name this process has not read yet.
    func kindName(_ id: Int16) -> String { tables.withLock { $0.kindNames[id] } ?? "#\(id)" }

    func knowsKind(_ id: Int16) -> Bool { tables.withLock { $0.kindNames[id] != nil } }

    func replace(queues: [(Int16, String)], kinds: [(Int16, String)]) {
        tables.withLock { tables in
            for (id, name) in queues {
                tables.queueIds[name] = id
                tables.queueNames[id] = name
            }
            for (id, name) in kinds {
                tables.kindIds[name] = id
                tables.kindNames[id] = name
            }
        }
    }
}
