import Foundation
import Shared
import Synchronization
import Testing

/// What `eventually` throws when the condition does not come true.
struct NeverHappened: Error, CustomStringConvertible {
    let description: String
}

/// Waits until a condition holds, looking again every few milliseconds; throws after the limit.
func eventually(
    _ what: String, within limit: Duration = .seconds(20), _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw NeverHappened(description: "never happened: \(what)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// Runs `body` and gives the error it has to throw.
func postgresError<T>(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> T
) async throws -> PostgresError {
    let error = await #expect(throws: PostgresError.self, sourceLocation: sourceLocation) {
        _ = try await body()
    }
    return try #require(error, sourceLocation: sourceLocation)
}

extension PostgresClient {
    /// How many backends run a statement that contains `text`.
    func backendsRunning(_ text: String) async throws -> Int {
        try await query(
            """
            select count(*) from pg_stat_activity
            where datname = current_database() and state = 'active' and query like \("%\(text)%")
                and pid <> pg_backend_pid()
            """
        ).one(Int.self)
    }
}

/// Something that happens once and can be waited for.
actor Signal {
    private var isSet = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    func set() {
        isSet = true
        for continuation in waiting { continuation.resume() }
        waiting = []
    }

    func wait() async {
        guard !isSet else { return }
        await withCheckedContinuation { waiting.append($0) }
    }
}

extension PostgresExecutor {
    /// The only value of the only row.
    func value<T: PostgresDecodable>(_ statement: PostgresQuery, as type: T.Type = T.self) async throws -> T {
        try await query(statement).one(T.self)
    }
}

/// Collects values from several tasks.
final class EventRecorder<Element: Sendable>: Sendable {
    private let storage = Mutex<[Element]>([])

    var values: [Element] { storage.withLock { $0 } }

    func record(_ element: Element) {
        storage.withLock { $0.append(element) }
    }
}
