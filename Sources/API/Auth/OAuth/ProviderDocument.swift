import Foundation
import Logging
import Shared

/// Something that the provider publishes, kept for a while. One request at a time asks for it; if the provider cannot
/// be asked, what was known last goes on counting.
actor ProviderDocument<Content: Sendable> {
    /// How far the copy can be trusted.
    enum Status: String, Sendable {
        case fresh = "ok"
        case stale
        case missing = "unavailable"
    }

    /// The pause between two attempts, so that a provider in trouble, or rubbish from outside, makes no traffic.
    private static var pause: TimeInterval { 60 }
    /// The same while there is no copy at all.
    private static var pauseWithoutCopy: TimeInterval { 5 }

    private let name: String
    private let lifetime: TimeInterval
    private let now: @Sendable () -> Date
    private let logger: Logger
    private let fetch: @Sendable () async throws -> Content
    private var copy: (content: Content, at: Date)?
    private var triedAt: Date?
    private var failure: (any Error)?
    private var running: Task<Content, any Error>?

    /// - Parameters:
    ///   - name: for the log.
    ///   - lifetime: seconds until it is fetched again.
    init(
        _ name: String, lifetime: TimeInterval, now: @escaping @Sendable () -> Date, logger: Logger,
        fetch: @escaping @Sendable () async throws -> Content
    ) {
        self.name = name
        self.lifetime = lifetime
        self.now = now
        self.logger = logger
        self.fetch = fetch
    }

    var status: Status {
        guard let copy else { return .missing }
        return now().timeIntervalSince(copy.at) < lifetime ? .fresh : .stale
    }

    /// The content, fetched when there is none or it is too old. Throws only when there never was any.
    func content() async throws -> Content {
        if let copy, now().timeIntervalSince(copy.at) < lifetime { return copy.content }
        if let failure, running == nil, triedWithin(copy == nil ? Self.pauseWithoutCopy : Self.pause) {
            guard let copy else { throw failure }
            return copy.content
        }
        do {
            return try await refreshed()
        } catch {
            guard let copy else { throw error }
            let detail = (error as? SignInFailure)?.detail ?? ""
            logger.warning("\(name) of the sign-in provider cannot be refreshed; the last copy is used: \(detail)")
            return copy.content
        }
    }

    /// Fetches it again, because something is not in it that should be; nil when that was tried within the last minute.
    func newerContent() async throws -> Content? {
        guard running != nil || !triedWithin(Self.pause) else { return nil }
        return try await refreshed()
    }

    private func triedWithin(_ seconds: TimeInterval) -> Bool {
        triedAt.map { now().timeIntervalSince($0) < seconds } ?? false
    }

    private func refreshed() async throws -> Content {
        if let running { return try await running.value }
        let fetch = fetch
        let task = Task { try await fetch() }
        running = task
        triedAt = now()
        defer { running = nil }
        do {
            let content = try await task.value
            copy = (content, now())
            failure = nil
            return content
        } catch {
            failure = error
            throw error
        }
    }
}
