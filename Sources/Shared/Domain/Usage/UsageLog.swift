package import Foundation

/// One call to a model, as LiteLLM's spend log has it. No prompts, no answers.
package struct UsageLogEntry: Sendable, Equatable {
    package enum Status: String, Sendable, CaseIterable, PostgresDecodable, PostgresEncodable {
        case success
        case failure
    }

    package var requestId: String
    package var startedAt: Date
    /// SHA-256 of the key's secret, or LiteLLM's name for the master key.
    package var keyHash: String
    /// The public model name.
    package var modelId: String
    package var spend: Decimal
    package var promptTokens: Int
    package var completionTokens: Int
    package var totalTokens: Int
    package var status: Status
    /// Milliseconds; nil where LiteLLM does not say.
    package var durationMs: Int?

    package init(
        requestId: String, startedAt: Date, keyHash: String, modelId: String, spend: Decimal, promptTokens: Int,
        completionTokens: Int, totalTokens: Int, status: Status, durationMs: Int?
    ) {
        self.requestId = requestId
        self.startedAt = startedAt
        self.keyHash = keyHash
        self.modelId = modelId
        self.spend = spend
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.totalTokens = totalTokens
        self.status = status
        self.durationMs = durationMs
    }
}

/// An entry as it is stored.
package struct UsageLogRecord: Sendable, Equatable {
    package var entry: UsageLogEntry
    /// Nil for keys that are not ours.
    package var userId: UUID?
    package var apiKeyId: UUID?
    package var username: String?
    package var keyName: String?
}

/// Which calls somebody wants to see.
package struct UsageLogFilter: Sendable, Equatable {
    package var userId: UUID?
    package var apiKeyId: UUID?
    package var modelId: String?
    package var status: UsageLogEntry.Status?
    /// Not before.
    package var from: Date?
    /// Before.
    package var before: Date?

    /// Everything.
    package init() {}
}

/// Where a page of calls ends.
package struct UsageLogCursor: Sendable, Equatable {
    private static let prefix = "u1."

    /// In microseconds since 1970, which is what the database keeps.
    let startedAt: Int64
    let requestId: String

    init(startedAt: Int64, requestId: String) {
        self.startedAt = startedAt
        self.requestId = requestId
    }

    /// Nil for a text that no page gave.
    package init?(_ text: String) {
        let base64 = text.replacing("-", with: "+").replacing("_", with: "/")
        let padded = base64 + String(repeating: "=", count: (4 - base64.count % 4) % 4)
        guard let data = Data(base64Encoded: padded),
            let plain = String(data: data, encoding: .utf8), plain.hasPrefix(Self.prefix)
        else { return nil }
        let parts = plain.dropFirst(Self.prefix.count).split(separator: "/", maxSplits: 1)
        guard parts.count == 2, let startedAt = Int64(parts[0]) else { return nil }
        self.init(startedAt: startedAt, requestId: String(parts[1]))
    }

    package var text: String {
        Data("\(Self.prefix)\(startedAt)/\(requestId)".utf8).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
