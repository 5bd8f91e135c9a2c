import Shared

/// Says on standard error how far a run is, once a second.
enum BenchProgress {
    static func during<Result: Sendable>(
        _ what: String, of total: Int?, count: @escaping @Sendable () -> Int,
        _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        let started = ContinuousClock.now
        let ticker = Task {
            var last = 0
            while !Task.isCancelled {
                // Ends with the run.
                do { try await Task.sleep(for: .seconds(1)) } catch { return }
                let now = count()
                let part = total.map { " of \($0)" } ?? ""
                let seconds = Int((.now - started).inSeconds)
                Console.error("\(what): \(now)\(part) after \(seconds) s, \(now - last)/s")
                last = now
            }
        }
        defer { ticker.cancel() }
        return try await body()
    }
}
