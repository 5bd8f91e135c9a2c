package import Foundation

/// LiteLLM knows a user's address under another id; a person decides what becomes of it.
package struct UserConflict: Codable, Sendable, Equatable {
    /// LiteLLM's id of the other user.
    package var litellmUserId: String
    /// How many keys the other user had then.
    package var keyCount: Int
    /// When it was found.
    package var foundAt: Date

    /// A conflict.
    package init(litellmUserId: String, keyCount: Int, foundAt: Date) {
        self.litellmUserId = litellmUserId
        self.keyCount = keyCount
        self.foundAt = foundAt
    }
}
