import Foundation
import Shared

/// Something whose spend LiteLLM counts.
protocol Spender: Sendable {
    var spend: Decimal { get }
    var budgetResetAt: Date? { get }
}

extension LiteLLMKey: Spender {}
extension LiteLLMUser: Spender {}

/// A reset that is looked at again.
struct SpendLook: Sendable {
    /// LiteLLM's writer has long carried everything over by then.
    static let longest: TimeInterval = 300
    /// Sums that differ by less are the same one.
    static let tolerance = Decimal(sign: .plus, exponent: -9, significand: 1)

    /// What had been spent.
    let before: Decimal
    /// How long ago it was reset, in seconds.
    let age: TimeInterval

    /// - Parameters:
    ///   - spentBefore: an exact decimal text.
    ///   - resetAt: on the database's clock, as is `now`; nil when unknown, which is long ago.
    init(spentBefore: String, resetAt: Date?, now: Date) throws(JobFailure) {
        guard let before = Decimal(string: spentBefore, locale: Locale(identifier: "C")) else {
            throw .permanent(code: "invalid_spend", message: "'\(spentBefore)' is not a sum of money.")
        }
        self.before = before
        age = resetAt.map(now.timeIntervalSince) ?? .infinity
    }
}

/// Sets a spend in LiteLLM back to zero and reads that back; once more a little later, as somebody who had read the old
/// sum may write it back. LiteLLM itself adds to what is there, so that any other sum was spent since.
struct SpendReset<Object: Spender>: Sendable {
    /// What became of it.
    struct Done: Sendable {
        /// As read last.
        let object: Object
        /// What had been spent, when it was reset.
        var old: Decimal?
        /// `reset`, or `kept` when there was nothing left to do.
        let outcome: String
        /// Why it was kept.
        var note: String?
    }

    /// For messages.
    let name: String
    let read: @Sendable () async throws -> Object?
    let set: @Sendable (Decimal) async throws -> Void

    /// The reset itself.
    ///
    /// - Parameters:
    ///   - noted: what an earlier attempt of this job noted as spent before its first call.
    ///   - arrangeLook: notes what has been spent, and puts the second look in.
    func run(
        _ found: Object, noted: Decimal?, arrangeLook: (Decimal) async throws -> Void
    ) async throws -> Done {
        if let noted {
            // The attempt before did reset it and died: what is there was spent since.
            guard found.spend >= noted - SpendLook.tolerance else {
                return Done(object: found, old: noted, outcome: "reset")
            }
        } else {
            guard found.spend > 0 else { return Done(object: found, outcome: "reset") }
            // Before the call: an attempt that follows a crash could not know.
            try await arrangeLook(found.spend)
        }
        return try await lower(found, to: 0)
    }

    /// The second look.
    func again(_ found: Object, _ look: SpendLook) async throws -> Done {
        guard found.spend > 0 else {
            return Done(object: found, outcome: "kept", note: "Nothing has been spent since the reset.")
        }
        guard abs(found.spend - look.before) <= SpendLook.tolerance else {
            return Done(
                object: found, outcome: "kept",
                note: "LiteLLM shows \(found.spend), not the \(look.before) of before: it was spent since the reset.")
        }
        guard look.age <= SpendLook.longest else {
            return Done(
                object: found, outcome: "kept",
                note: "LiteLLM shows what it did before the reset, but so long after it that it may be real.")
        }
        return try await lower(found, to: 0)
    }

    private func lower(_ found: Object, to spend: Decimal) async throws -> Done {
        try await set(spend)
        guard let again = try await read() else { throw JobFailure.notReadable(name) }
        guard again.spend < found.spend else {
            throw JobFailure.retryable(
                code: "spend_not_reset", message: "LiteLLM was told to reset the spend, but does not show it.")
        }
        return Done(object: again, old: found.spend, outcome: "reset")
    }
}

extension JobOptions {
    /// When LiteLLM's spend is looked at again after a reset: longer than its writer waits.
    static func secondSpendLook(of resource: JobResource, requester: JobRequester) -> JobOptions {
        var options = JobOptions()
        options.requester = requester
        options.resource = resource
        options.delay = .seconds(60)
        return options
    }
}
