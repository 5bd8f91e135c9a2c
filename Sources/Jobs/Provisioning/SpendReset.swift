import Foundation
import Shared

/// Something whose spend LiteLLM counts.
protocol Spender: Sendable {
    var spend: Decimal { get }
    var budgetResetAt: Date? { get }
}

extension LiteLLMKey: Spender {}
extension LiteLLMUser: Spender {}

/// Sets a spend in LiteLLM back to zero and reads that back; once more a little later, as LiteLLM's batched writer may
/// carry the old sum back.
struct SpendReset<Object: Spender>: Sendable {
    /// What became of it.
    struct Done: Sendable {
        /// As read last.
        let object: Object
        /// What had been spent, when it was reset.
        var old: Decimal?
        /// `reset`, or `kept` when there was nothing left to do.
        let outcome: String
    }

    /// For messages.
    let name: String
    let read: @Sendable () async throws -> Object?
    let set: @Sendable (Decimal) async throws -> Void

    /// - Parameters:
    ///   - spentBefore: what had been spent before the reset, for the second look; nil for the reset itself.
    ///   - arrangeLook: puts the second look in, given what has been spent.
    func run(
        _ found: Object, spentBefore: String?, arrangeLook: (Decimal) async throws -> Void
    ) async throws -> Done {
        if let spentBefore, let before = Decimal(string: spentBefore, locale: Locale(identifier: "C")) {
            // Takes away what LiteLLM's writer has carried back, and leaves what was spent since.
            guard found.spend >= before else { return Done(object: found, outcome: "kept") }
            return try await lower(found, to: found.spend - before)
        }
        guard found.spend > 0 else { return Done(object: found, outcome: "reset") }
        // Before the call: an attempt that follows a crash finds nothing left to reset, and so could not know.
        try await arrangeLook(found.spend)
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
