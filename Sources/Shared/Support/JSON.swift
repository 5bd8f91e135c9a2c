package import Foundation

/// The one pair of JSON coders: API bodies, job arguments, LiteLLM calls and stored documents all look alike.
package enum JSON {
    /// Dates as RFC 3339 in UTC with milliseconds, keys sorted, slashes not escaped.
    package static let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(ISO8601.string(from: date))
        }
        return encoder
    }()

    /// Dates as `ISO8601.date(from:)` reads them: any number of fraction digits.
    package static let decoder: JSONDecoder = {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            let text = try container.decode(String.self)
            guard let date = ISO8601.date(from: text) else {
                throw DecodingError.dataCorruptedError(
                    in: container, debugDescription: "not a timestamp such as 2026-01-31T09:05:07Z")
            }
            return date
        }
        return decoder
    }()
}
