package import Foundation

extension UUID {
    /// The spelling that PostgreSQL, LiteLLM and our clients see: lower case.
    package var text: String { uuidString.lowercased() }
}
