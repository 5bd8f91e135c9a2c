import Synchronization
import TestSupport
import Testing

@testable import Shared

@Suite("Batch loader", .hangGuard)
struct BatchLoaderTests {
    /// A query that waits until the test lets it go, and remembers what it was asked for.
    private final class Query: Sendable {
        private let state = Mutex<(asked: [[Int]], waiting: [CheckedContinuation<Void, Never>], isOpen: Bool)>(
            ([], [], false))

        var asked: [[Int]] { state.withLock { $0.asked } }

        func open() {
            let waiting = state.withLock { state in
                state.isOpen = true
                defer { state.waiting = [] }
                return state.waiting
            }
            for continuation in waiting { continuation.resume() }
        }

        func run(_ keys: [Int]) async -> [Int: String] {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    state.asked.append(keys.sorted())
                    if !state.isOpen { state.waiting.append(continuation) }
                    return state.isOpen
                }
                if isOpen { continuation.resume() }
            }
            return Dictionary(uniqueKeysWithValues: keys.filter { $0 >= 0 }.map { ($0, "value \($0)") })
        }
    }

    @Test("callers that come while a query runs share the next one, and never the running one")
    func sharing() async throws {
        let query = Query()
        let loader = BatchLoader<Int, String>(concurrency: 1) { await query.run($0) }
        try await withThrowingTaskGroup(of: (Int, String?).self) { group in
            group.addTask { (1, try await loader.value(for: 1)) }
            #expect(try await eventually { query.asked == [[1]] })
            for key in [1, 2, 2, 3, -1] { group.addTask { (key, try await loader.value(for: key)) } }
            #expect(try await eventually { loader.waitingCount == 5 })
            query.open()
            for try await (key, value) in group {
                #expect(value == (key < 0 ? nil : "value \(key)"))
            }
        }
        #expect(query.asked == [[1], [-1, 1, 2, 3]])
    }

    @Test("an error reaches every caller of its query and nobody else")
    func failure() async throws {
        struct Failure: Error {}
        let calls = Mutex(0)
        let loader = BatchLoader<Int, String>(concurrency: 1) { keys in
            let call = calls.withLock { calls in
                calls += 1
                return calls
            }
            if call == 1 { throw Failure() }
            return [keys[0]: "fine"]
        }
        await #expect(throws: Failure.self) { try await loader.value(for: 1) }
        #expect(try await loader.value(for: 1) == "fine")
    }

    @Test("a query takes no more keys than its limit")
    func limit() async throws {
        let query = Query()
        let loader = BatchLoader<Int, String>(concurrency: 1, batchLimit: 10) { await query.run($0) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for key in 0..<35 { group.addTask { _ = try await loader.value(for: key) } }
            #expect(try await eventually { loader.waitingCount + query.asked.joined().count == 35 })
            query.open()
            try await group.waitForAll()
        }
        #expect(query.asked.allSatisfy { $0.count <= 10 })
        #expect(query.asked.joined().sorted() == Array(0..<35))
    }
}
