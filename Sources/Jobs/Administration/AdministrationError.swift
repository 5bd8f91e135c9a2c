/// What an operator asked for and cannot have, with the field to change and how.
package struct AdministrationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds of refusal.
    package enum Code: String, Sendable {
        /// There is no such thing.
        case notFound = "not_found"
        /// It is in a state that does not allow it.
        case conflict
        /// It protects others (it revokes access): only by force.
        case protected
        /// A value cannot be used.
        case invalid
        /// The search would take too long.
        case tooBroad = "too_broad"
    }

    /// The kind of refusal.
    package let code: Code
    /// One sentence for people; safe to show.
    package let message: String
    /// The input that is to change, where it is one.
    package var field: String?
    /// What kind of thing it is about, such as `queue`.
    package var resource: String?
    /// Which one.
    package var id: String?

    package var description: String { message }

    static func notFound(_ resource: String, _ id: String) -> AdministrationError {
        AdministrationError(code: .notFound, message: "There is no \(resource) \(id).", resource: resource, id: id)
    }

    static func conflict(_ message: String, resource: String, _ id: String) -> AdministrationError {
        AdministrationError(code: .conflict, message: message, resource: resource, id: id)
    }

    static func invalid(_ field: String, _ message: String) -> AdministrationError {
        AdministrationError(code: .invalid, message: message, field: field)
    }

    static func protectedQueue(_ name: String) -> AdministrationError {
        AdministrationError(
            code: .protected,
            message: "The queue \(name) protects others (it revokes access); it can be held up only by force.",
            field: "force", resource: "queue", id: name)
    }

    static let tooBroad = AdministrationError(
        code: .tooBroad,
        message: "The search takes too long. Name a kind, a state, a resource or a shorter time (finishedAfter).",
        field: "filter")
}
