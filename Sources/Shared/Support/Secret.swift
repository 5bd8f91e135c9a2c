/// A value that must never be printed: a password, a token, a key.
///
/// Every textual form (`description`, `debugDescription`, `dump`, a mirror, string interpolation) is `redacted`.
/// It is not `Codable`, so that it cannot slip into a JSON body or a job's arguments. The only way to the value is
/// `reveal()`, which is easy to search for.
package struct Secret: Sendable {
    private let value: String

    /// Wraps `value`.
    package init(_ value: String) {
        self.value = value
    }

    /// The value itself, for the one place that has to send or hash it.
    package func reveal() -> String {
        value
    }

    /// Whether the value is the empty string.
    package var isEmpty: Bool {
        value.isEmpty
    }
}

extension Secret: Equatable {
    /// Compares in time that does not depend on where the values differ.
    package static func == (lhs: Secret, rhs: Secret) -> Bool {
        constantTimeEqual(lhs.value, rhs.value)
    }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Always `redacted`.
    package var description: String { "redacted" }

    /// Always `redacted`.
    package var debugDescription: String { "redacted" }

    /// A mirror without children.
    package var customMirror: Mirror {
        Mirror(self, children: [])
    }
}
