import Foundation
import HTTPTypes
import Hummingbird
import Logging
import Metrics
import Shared
import Synchronization

/// The limits as requests meet them: whom to count, what to answer, what to write down.
struct RequestLimits: Sendable {
    private let settings: RateLimitSettings
    private let limiter: RateLimiter
    private let metrics: RateLimitMetrics
    private let database: PostgresClient
    private let audit = PostgresAuditStore()
    private let audits = AuditAllowance()

    init(
        settings: RateLimitSettings, database: PostgresClient, metricsFactory: any MetricsFactory, logger: Logger
    ) {
        self.settings = settings
        self.database = database
        metrics = RateLimitMetrics(factory: metricsFactory)
        let store = PostgresRateLimitStore()
        limiter = RateLimiter(logger: logger) { try await store.take($0, in: database) }
    }

    /// Counts a request. Throws 429 when it is one too many.
    func admit(_ call: Call, _ principal: Principal?, to route: RouteLimit) async throws(APIError) {
        guard let key = route.key(principal, address: call.context.clientIP?.customer) else { return }
        let limit = key.rateClass.limit(in: settings)
        guard limit > 0 else { return }
        let decision = await limiter.take(key, limit: limit)
        call.context.record.rateLimit = decision
        metrics.record(key.rateClass, isAllowed: decision.isAllowed)
        guard !decision.isAllowed else { return }
        if decision.isFirstRefusal { await writeDown(key, limit: limit, call, principal) }
        throw .rateLimited(decision)
    }

    /// Once for a key and minute in the whole fleet: the table tells who is refused first.
    private func writeDown(_ key: RateLimitKey, limit: Int, _ call: Call, _ principal: Principal?) async {
        guard audits.take(at: .now) else { return }
        let actor =
            principal.map { call.actor(for: $0) }
            ?? AuditActor(
                userId: nil, name: "anonymous", ipAddress: call.context.clientAddress, userAgent: call.userAgent,
                requestId: call.context.requestId)
        let entry = AuditEntry(
            actor: actor, action: "RATE_LIMIT_EXCEEDED", resourceType: "RATE_LIMIT", resourceId: key.text,
            success: false,
            metadata: [
                "class": .string(key.rateClass.rawValue), "limit": .int(limit),
                "route": .string("\(call.request.method.rawValue) \(call.context.endpointPath ?? "unknown")"),
            ])
        do {
            try await audit.append(entry, in: database)
        } catch {
            // The refusal stands without it.
            call.context.logger.warning("an exceeded limit was not audited", metadata: ["error": "\(error)"])
        }
    }
}

/// How many notes about strangers a process writes down in a minute: a flood from many addresses must not become one of
/// rows.
final class AuditAllowance: Sendable {
    private static let limit = 120

    private let state = Mutex<(endsAt: ContinuousClock.Instant, used: Int)>((.now, 0))

    func take(at now: ContinuousClock.Instant) -> Bool {
        state.withLock { state in
            if now >= state.endsAt { state = (now + .seconds(60), 0) }
            guard state.used < Self.limit else { return false }
            state.used += 1
            return true
        }
    }
}

extension APIError {
    /// 429.
    static func rateLimited(_ decision: RateLimitDecision) -> APIError {
        var error = APIError(
            .tooManyRequests, .rateLimited, "There were more than \(decision.limit) requests within a minute.",
            details: ErrorDetails(
                suggestion: "Wait for the time in Retry-After, and spread requests over the minute.",
                limit: decision.limit, timeWindow: "1 minute", retryAfterMs: Int(decision.resetAfter.inMilliseconds)))
        error.retry = RetryAdvice(afterSeconds: decision.resetSeconds)
        return error
    }
}

extension RateLimitDecision {
    /// Whole seconds until the window ends, at least one.
    var resetSeconds: Int { max(Int(resetAfter.inSeconds.rounded(.up)), 1) }

    /// Tells the client where it stands.
    func write(to headers: inout HTTPFields) {
        headers[.rateLimitLimit] = String(limit)
        headers[.rateLimitRemaining] = String(remaining)
        headers[.rateLimitReset] = String(resetSeconds)
    }
}

extension HTTPField.Name {
    static let rateLimitLimit = HTTPField.Name.known("X-RateLimit-Limit")
    static let rateLimitRemaining = HTTPField.Name.known("X-RateLimit-Remaining")
    static let rateLimitReset = HTTPField.Name.known("X-RateLimit-Reset")
    static let forwardedFor = HTTPField.Name.known("X-Forwarded-For")
}
