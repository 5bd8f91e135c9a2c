import Foundation
import Logging
import ServiceLifecycle
import Shared
import Synchronization

/// Gathers when sessions, keys and service tokens were last used and writes that down now and then: a request costs no
/// write, and what was used is known within half a minute.
final class CredentialUse: Service {
    /// More credentials than this between two writes: the rest keeps its older moment.
    private static let limit = 100_000

    private let pending = Mutex(CredentialUses())
    private let database: PostgresClient
    private let store = PostgresCallerStore()
    private let interval: Duration
    private let logger: Logger

    init(database: PostgresClient, interval: Duration = .seconds(30), logger: Logger) {
        self.database = database
        self.interval = interval
        self.logger = logger
    }

    /// A request has shown this credential.
    func note(_ credential: Credential) {
        let now = Date()
        pending.withLock { pending in
            guard pending.count < Self.limit else { return }
            switch credential {
            case .session(let id): pending.sessions[id] = now
            case .apiKey(let id): pending.keys[id] = now
            case .serviceToken(let id): if let id { pending.serviceTokens[id] = now }
            }
        }
    }

    /// Writes until graceful shutdown, then once more.
    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await Task.sleep(for: self.interval)
                } catch {
                    break
                }
                await self.flush()
            }
        }
        await flush()
    }

    /// Writes down what has been gathered. When that fails it is dropped: the next use says the same.
    func flush() async {
        let uses = pending.withLock { pending in
            defer { pending = CredentialUses() }
            return pending
        }
        guard uses.count > 0 else { return }
        do {
            try await store.note(uses, in: database)
        } catch {
            logger.warning("the last use of credentials could not be written", metadata: ["error": "\(error)"])
        }
    }
}
