/// What tells kept statements apart: the same text with other parameter types is another statement.
struct PostgresStatementKey: Sendable, Hashable {
    let sql: String
    let types: [PostgresType]

    init(_ query: PostgresQuery) {
        sql = query.sql
        types = query.parameters.list.map(\.type)
    }
}

/// The statements kept on one connection: least recently used ones make room. Pure bookkeeping.
struct PostgresStatementCache: Sendable {
    private struct Entry: Sendable {
        let name: String
        var lastUse: UInt64
    }

    /// What to do for a statement.
    enum Lookup: Sendable, Equatable {
        /// It is kept under this name.
        case kept(name: String)
        /// It has to be kept under this name, after giving up another one where there is one.
        case new(name: String, evicted: String?)
    }

    private let capacity: Int
    private var entries: [PostgresStatementKey: Entry] = [:]
    private var uses: UInt64 = 0
    private var names: UInt64 = 0

    /// A cache for at least one statement.
    init(capacity: Int) {
        self.capacity = max(capacity, 1)
    }

    var count: Int { entries.count }

    /// Finds a statement or makes a place for it.
    mutating func use(_ key: PostgresStatementKey) -> Lookup {
        uses += 1
        if let name = entries[key]?.name {
            entries[key]?.lastUse = uses
            return .kept(name: name)
        }
        var evicted: String?
        if entries.count >= capacity, let oldest = entries.min(by: { $0.value.lastUse < $1.value.lastUse }) {
            evicted = oldest.value.name
            entries[oldest.key] = nil
        }
        names += 1
        let name = "s\(names)"
        entries[key] = Entry(name: name, lastUse: uses)
        return .new(name: name, evicted: evicted)
    }

    /// Forgets a statement; its name on the server where it was known.
    mutating func forget(_ key: PostgresStatementKey) -> String? {
        entries.removeValue(forKey: key)?.name
    }
}
