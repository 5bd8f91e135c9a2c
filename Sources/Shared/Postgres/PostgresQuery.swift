/// A statement with its bound values.
///
/// Interpolation binds: `"select name from users where id = \(id)"` sends `$1` and the value apart from the text, so
/// there is nothing to escape. What cannot be bound has a label: `\(identifier:)`, `\(literal:)`, `\(unescaped:)`.
package struct PostgresQuery: Sendable {
    /// The text with `$1`, `$2`, ….
    package let sql: String
    let parameters: PostgresParameters

    /// A statement made by this layer or read from a migration; never from user input.
    init(trusted sql: String) {
        self.sql = sql
        self.parameters = PostgresParameters()
    }

    private init(sql: String, parameters: PostgresParameters) {
        self.sql = sql
        self.parameters = parameters
    }

    /// The statement under EXPLAIN, as one JSON document; `analyze` also runs it.
    package func explained(analyze: Bool) -> PostgresQuery {
        let options = analyze ? "analyze, buffers, format json" : "format json"
        return PostgresQuery(sql: "explain (\(options)) \(sql)", parameters: parameters)
    }
}

extension PostgresQuery: ExpressibleByStringInterpolation {
    /// A statement without values.
    package init(stringLiteral value: String) {
        self.init(trusted: value)
    }

    /// A statement with the values of its interpolations bound.
    package init(stringInterpolation: StringInterpolation) {
        sql = stringInterpolation.sql
        parameters = stringInterpolation.parameters
    }

    /// Collects text and values.
    package struct StringInterpolation: StringInterpolationProtocol, Sendable {
        var sql = ""
        var parameters = PostgresParameters()

        /// Starts an empty statement.
        package init(literalCapacity: Int, interpolationCount: Int) {
            sql.reserveCapacity(literalCapacity + interpolationCount * 4)
            parameters.reserve(interpolationCount)
        }

        /// Adds text.
        package mutating func appendLiteral(_ literal: String) {
            sql.append(literal)
        }

        /// Binds a value.
        package mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?) {
            append(value.postgresBind)
        }

        /// Binds a value.
        package mutating func appendInterpolation(_ value: some PostgresEncodable) {
            append(value.postgresBind)
        }

        /// Adds a piece of a statement with its values.
        package mutating func appendInterpolation(_ fragment: PostgresFragment) {
            for part in fragment.parts {
                switch part {
                case .text(let text): sql.append(text)
                case .bind(let bind): append(bind)
                }
            }
        }

        /// Adds text that stands in the program as it is.
        package mutating func appendInterpolation(unescaped text: StaticString) {
            sql.append(text.description)
        }

        /// Adds the quoted name of a table, column, channel, …
        package mutating func appendInterpolation(identifier name: String) {
            sql.append(PostgresQuoting.identifier(name))
        }

        /// Adds a quoted string constant, for the places where PostgreSQL takes no parameter, such as partition bounds.
        package mutating func appendInterpolation(literal text: String) {
            sql.append(PostgresQuoting.literal(text))
        }

        private mutating func append(_ bind: PostgresBind) {
            parameters.append(bind)
            sql.append("$")
            sql.append(String(parameters.list.count))
        }
    }
}

/// A piece of a statement with its values, for statements that are put together, such as lists with filters.
package struct PostgresFragment: Sendable, ExpressibleByStringInterpolation {
    enum Part: Sendable {
        case text(String)
        case bind(PostgresBind)
    }

    fileprivate(set) var parts: [Part]

    /// A piece without values.
    package init(stringLiteral value: String) {
        parts = [.text(value)]
    }

    /// A piece with the values of its interpolations bound.
    package init(stringInterpolation: StringInterpolation) {
        parts = stringInterpolation.parts
    }

    private init(parts: [Part]) {
        self.parts = parts
    }

    /// Collects text and values.
    package struct StringInterpolation: StringInterpolationProtocol, Sendable {
        var parts: [Part] = []

        /// Starts an empty piece.
        package init(literalCapacity: Int, interpolationCount: Int) {
            parts.reserveCapacity(interpolationCount * 2 + 1)
        }

        /// Adds text.
        package mutating func appendLiteral(_ literal: String) {
            parts.append(.text(literal))
        }

        /// Binds a value.
        package mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?) {
            parts.append(.bind(value.postgresBind))
        }

        /// Binds a value.
        package mutating func appendInterpolation(_ value: some PostgresEncodable) {
            parts.append(.bind(value.postgresBind))
        }

        /// Adds another piece.
        package mutating func appendInterpolation(_ fragment: PostgresFragment) {
            parts.append(contentsOf: fragment.parts)
        }

        /// Adds text that stands in the program as it is.
        package mutating func appendInterpolation(unescaped text: StaticString) {
            parts.append(.text(text.description))
        }

        /// Adds the quoted name of a table, column, …
        package mutating func appendInterpolation(identifier name: String) {
            parts.append(.text(PostgresQuoting.identifier(name)))
        }
    }

    /// The pieces with `separator` between them; for none of them `empty`.
    package static func joined(
        _ fragments: [PostgresFragment], separator: StaticString, empty: StaticString = ""
    ) -> PostgresFragment {
        guard var parts = fragments.first?.parts else { return PostgresFragment(parts: [.text(empty.description)]) }
        for fragment in fragments.dropFirst() {
            parts.append(.text(separator.description))
            parts.append(contentsOf: fragment.parts)
        }
        return PostgresFragment(parts: parts)
    }
}

/// Quoting as the server reads it with `standard_conforming_strings` on, which has been its default since 9.1.
enum PostgresQuoting {
    static func identifier(_ name: String) -> String {
        quoted(name, with: "\"")
    }

    static func literal(_ text: String) -> String {
        let quoted = quoted(text, with: "'")
        return text.contains("\\") ? " E" + quoted.replacing("\\", with: "\\\\") : quoted
    }

    // A NUL ends the statement early; without it what remains is refused or harmless.
    private static func quoted(_ text: String, with quote: Character) -> String {
        let quote = String(quote)
        return quote + text.replacing("\0", with: "").replacing(quote, with: quote + quote) + quote
    }
}
