import Shared

/// Brings the subscriptions of a model into line with the model's row.
package struct ModelCascade: JobKind {
    /// What happened to the model.
    package enum Cause: String, Codable, Sendable {
        /// It needs an approval now, or no longer.
        case restriction
        /// LiteLLM does not have it any more, or has it again.
        case retirement
    }

    package static let name = "model.cascade"

    /// The public name.
    package let modelId: String
    /// What happened to the model.
    package let cause: Cause

    package init(modelId: String, cause: Cause) {
        self.modelId = modelId
        self.cause = cause
    }

    package var orderKey: String? { "model.cascade:\(modelId)" }
    package var uniqueKey: String? { "\(Self.name):\(modelId):\(cause.rawValue)" }

    package func run(in context: JobContext) async throws -> NoOutput { NoOutput() }
}
