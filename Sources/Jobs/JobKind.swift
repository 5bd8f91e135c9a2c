import Foundation
package import Shared

/// The result of a kind that has nothing to report.
package struct NoOutput: Codable, Sendable, Equatable {
    package init() {}
}

/// One kind of job. The value itself is the parameters; they are stored as JSON, so a new property needs a default
/// or must be optional, and secrets never belong here.
package protocol JobKind: Codable, Sendable {
    /// What a success reports; shown to the job's owner.
    associatedtype Output: Codable & Sendable = NoOutput

    /// The stored identity, such as `key.create`. Never changes and never derives from the type's name.
    static var name: String { get }
    /// The queue the kind runs in; must exist in `job_queues`.
    static var queue: String { get }
    /// The upstream class whose breaker stands before this kind; nil when it calls none.
    static var upstream: Upstream? { get }
    /// When a failed attempt is repeated.
    static var retry: RetryPolicy { get }
    /// The limit of one attempt.
    static var timeout: Duration { get }
    /// Lower runs first; 0 is ordinary.
    static var priority: Int { get }
    /// Whether one such job may be the probe of a half-open breaker: it must only read from the upstream.
    static var isProbeSafe: Bool { get }

    /// The LiteLLM object it acts on, such as `key:<id>`; jobs with the same value run one at a time, in order.
    var orderKey: String? { get }
    /// Jobs with the same value coalesce while one of them has not started.
    var uniqueKey: String? { get }

    /// Does the work. Runs at least once, possibly again after a crash at any point: read before you write.
    ///
    /// - Throws: ``JobFailure``, ``JobSnooze``; other errors count as retryable.
    func run(in context: JobContext) async throws -> Output

    /// Called in the transaction that ends the job without success, so that the object shows it.
    /// Not called when the job was superseded.
    func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws

    /// Called in the transaction that brings a failed job back, so that the object shows it as pending again.
    func retried(jobId: Int64, in transaction: PostgresTransaction) async throws

    /// Called in the transaction in which a person gives a failed job up: the object says so, and what only a retry
    /// could have used, such as a sealed secret, goes.
    func discarded(_ end: JobEnd, in transaction: PostgresTransaction) async throws
}

extension JobKind {
    package static var queue: String { "default" }
    package static var upstream: Upstream? { nil }
    package static var retry: RetryPolicy { .standard }
    package static var timeout: Duration { .seconds(120) }
    package static var priority: Int { 0 }
    package static var isProbeSafe: Bool { false }
    package var orderKey: String? { nil }
    package var uniqueKey: String? { nil }
    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {}
    package func retried(jobId: Int64, in transaction: PostgresTransaction) async throws {}
    package func discarded(_ end: JobEnd, in transaction: PostgresTransaction) async throws {}
}

/// What a job's parameters say about its place among the others.
struct JobKeys: Sendable {
    var order: String?
    var unique: String?
    var priority: Int
}

/// A kind without its type: what the engine needs to run a stored job.
struct JobHandler: Sendable {
    let name: String
    let queue: String
    let upstream: Upstream?
    let retry: RetryPolicy
    let timeout: Duration
    let isProbeSafe: Bool
    /// Decodes the stored parameters, runs the job and encodes its result.
    let run: @Sendable (_ args: Data, _ context: JobContext) async throws -> String?
    /// Decodes the stored parameters and lets the kind mark its object. Parameters that do not decode mark nothing.
    let ended: @Sendable (_ args: String, _ end: JobEnd, _ in: PostgresTransaction) async throws -> Void
    /// Decodes the parameters for the keys of their job.
    let keys: @Sendable (_ args: String) throws -> JobKeys
    /// The counterpart of `ended` when a person retries the job.
    let retried: @Sendable (_ args: String, _ jobId: Int64, _ in: PostgresTransaction) async throws -> Void
    /// Lets the kind mark its object when a person gives the failed job up.
    let discarded: @Sendable (_ args: String, _ end: JobEnd, _ in: PostgresTransaction) async throws -> Void

    init<Kind: JobKind>(_ kind: Kind.Type) {
        name = Kind.name
        queue = Kind.queue
        upstream = Kind.upstream
        retry = Kind.retry
        timeout = Kind.timeout
        isProbeSafe = Kind.isProbeSafe
        keys = { args in
            let parameters = try Self.decode(kind, from: Data(args.utf8))
            return JobKeys(order: parameters.orderKey, unique: parameters.uniqueKey, priority: Kind.priority)
        }
        run = { args, context in
            let parameters = try Self.decode(kind, from: args)
            let output = try await parameters.run(in: context)
            if output is NoOutput { return nil }
            return String(decoding: try JSON.encoder.encode(output), as: UTF8.self)
        }
        ended = { args, end, transaction in
            guard let parameters = Self.decodable(kind, from: args) else { return }
            try await parameters.ended(end, in: transaction)
        }
        retried = { args, jobId, transaction in
            guard let parameters = Self.decodable(kind, from: args) else { return }
            try await parameters.retried(jobId: jobId, in: transaction)
        }
        discarded = { args, end, transaction in
            guard let parameters = Self.decodable(kind, from: args) else { return }
            try await parameters.discarded(end, in: transaction)
        }
    }

    /// Nil for parameters of another version: they name no object to mark, and the job's own error says so already.
    private static func decodable<Kind: JobKind>(_ kind: Kind.Type, from args: String) -> Kind? {
        do { return try decode(kind, from: Data(args.utf8)) } catch { return nil }
    }

    private static func decode<Kind: JobKind>(_ kind: Kind.Type, from args: Data) throws -> Kind {
        do {
            return try JSON.decoder.decode(kind, from: args)
        } catch DecodingError.dataCorrupted(let context) {
            throw JobFailure.permanent(
                code: "undecodable_parameters",
                message: "The parameters do not fit kind \(Kind.name) of this version: \(context.debugDescription).")
        } catch {
            throw JobFailure.permanent(
                code: "undecodable_parameters",
                message: "The stored parameters of this job do not fit kind \(Kind.name) of this version.")
        }
    }
}
