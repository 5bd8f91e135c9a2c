/// A wish for a part of a key's requests of the current minute.
package struct RateLimitDemand: Sendable, Hashable {
    /// Who is counted.
    package var key: String
    /// Requests of the key in a minute, by the whole fleet.
    package var limit: Int
    /// How many of them to take at once.
    package var chunk: Int

    package init(key: String, limit: Int, chunk: Int) {
        self.key = key
        self.limit = limit
        self.chunk = chunk
    }
}

/// What a demand got.
package struct RateLimitGrant: Sendable, Equatable {
    /// How many requests the process may let through; 0 when the minute's are used up.
    package var granted: Int
    /// What the whole fleet has taken in this minute.
    package var taken: Int
    /// Whether this is the first demand of the minute, in the whole fleet, that got nothing.
    package var isFirstRefusal: Bool
    /// How long the minute still lasts; above zero.
    package var remaining: Duration

    package init(granted: Int, taken: Int, isFirstRefusal: Bool = false, remaining: Duration) {
        self.granted = granted
        self.taken = taken
        self.isFirstRefusal = isFirstRefusal
        self.remaining = remaining
    }
}
