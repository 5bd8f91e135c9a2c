import Foundation

/// How the text of a setting becomes a value, and how that is told to people.
package struct SettingParser<Value: Sendable>: Sendable {
    /// What is accepted, to complete "must be ...": `a whole number from 1 to 65535`; empty where any text is.
    package let form: String
    /// Whether the text must never be shown.
    package let isSecret: Bool
    /// Whether the absence of a text is a value of its own (nil, an empty list).
    let allowsNothing: Bool
    /// The value of a text; the text is trimmed and not empty.
    let parse: @Sendable (String) throws(SettingRefusal) -> Value
    /// A text that parses to the value; empty where nothing stands for it.
    let render: @Sendable (Value) -> String

    init(
        form: String, isSecret: Bool = false, allowsNothing: Bool = false,
        parse: @escaping @Sendable (String) throws(SettingRefusal) -> Value,
        render: @escaping @Sendable (Value) -> String
    ) {
        self.form = form
        self.isSecret = isSecret
        self.allowsNothing = allowsNothing
        self.parse = parse
        self.render = render
    }

    /// The same parser for a setting that may be left out.
    var optional: SettingParser<Value?> {
        SettingParser<Value?>(
            form: form, isSecret: isSecret, allowsNothing: true,
            parse: { text throws(SettingRefusal) in try parse(text) },
            render: { $0.map(render) ?? "" })
    }
}

/// Why a text is not accepted.
struct SettingRefusal: Error {
    /// More than "must be <form>", such as which entry of a list is wrong; never the text of a secret.
    let detail: String?

    init(_ detail: String? = nil) {
        self.detail = detail
    }
}

/// The unit of a duration that is written as a plain number.
enum DurationUnit: String {
    case milliseconds, seconds, minutes, hours, days

    var length: Duration {
        switch self {
        case .milliseconds: .milliseconds(1)
        case .seconds: .seconds(1)
        case .minutes: .seconds(60)
        case .hours: .seconds(3600)
        case .days: .seconds(86_400)
        }
    }

    /// Reads `ms`, `s`, `sec`, `seconds`, `m`, `min`, `minute`, `h`, `hour`, `d`, `days`, ...
    init?(suffix: String) {
        switch suffix.lowercased() {
        case "ms", "msec", "msecs", "millisecond", "milliseconds": self = .milliseconds
        case "s", "sec", "secs", "second", "seconds": self = .seconds
        case "m", "min", "mins", "minute", "minutes": self = .minutes
        case "h", "hr", "hrs", "hour", "hours": self = .hours
        case "d", "day", "days": self = .days
        default: return nil
        }
    }
}

extension SettingParser where Value == Int {
    static func integer(_ range: ClosedRange<Int>) -> SettingParser {
        SettingParser(
            form: "a whole number from \(range.lowerBound) to \(range.upperBound)",
            parse: { text throws(SettingRefusal) in
                guard let value = Int(text), range.contains(value) else { throw SettingRefusal() }
                return value
            }, render: { String($0) })
    }
}

extension SettingParser where Value == Double {
    static func number(_ range: ClosedRange<Double>) -> SettingParser {
        SettingParser(
            form: "a number from \(range.lowerBound.formatted()) to \(range.upperBound.formatted())",
            parse: { text throws(SettingRefusal) in
                guard let value = Double(text), range.contains(value) else { throw SettingRefusal() }
                return value
            }, render: { $0.formatted() })
    }
}

extension Double {
    fileprivate func formatted() -> String {
        Int64(exactly: self).map { String($0) } ?? String(self)
    }
}

extension SettingParser where Value == Bool {
    static var boolean: SettingParser {
        SettingParser(
            form: "true or false",
            parse: { text throws(SettingRefusal) in
                switch text.lowercased() {
                case "true", "1", "yes", "on": return true
                case "false", "0", "no", "off": return false
                default: throw SettingRefusal()
                }
            }, render: { $0 ? "true" : "false" })
    }
}

extension SettingParser where Value == Duration {
    /// A number of `unit`, or a number with a unit of its own (`500ms`, `15m`, `1 hour`).
    static func duration(_ unit: DurationUnit, _ range: ClosedRange<Int>) -> SettingParser {
        let lowest = unit.length * range.lowerBound
        let highest = unit.length * range.upperBound
        return SettingParser(
            form: "a time from \(range.lowerBound) to \(range.upperBound) \(unit.rawValue), as a number of "
                + "\(unit.rawValue) or with a unit (ms, s, m, h, d)",
            parse: { text throws(SettingRefusal) in
                let digits = text.prefix { $0.isASCII && $0.isNumber }
                let suffix = text.dropFirst(digits.count).trimmingCharacters(in: .whitespaces)
                guard let count = Int(digits), count <= 1_000_000_000,
                    let given = suffix.isEmpty ? unit : DurationUnit(suffix: suffix)
                else { throw SettingRefusal() }
                let value = given.length * count
                guard (lowest...highest).contains(value) else { throw SettingRefusal() }
                return value
            }, render: { String(Int64($0 / unit.length)) })
    }
}

extension SettingParser where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One of the type's raw values, in any case; `synonyms` are accepted as well.
    static func choice(synonyms: [String: Value] = [:]) -> SettingParser {
        let names = Value.allCases.map(\.rawValue)
        return SettingParser(
            form: "one of \(names.joined(separator: ", "))",
            parse: { text throws(SettingRefusal) in
                let text = text.lowercased()
                guard let value = Value(rawValue: text) ?? synonyms[text] else { throw SettingRefusal() }
                return value
            }, render: { $0.rawValue })
    }
}

extension SettingParser where Value == String {
    static var text: SettingParser {
        SettingParser(form: "", parse: { $0 }, render: { $0 })
    }

    /// A URL with a host; a slash at the end is dropped. User name, query and fragment are refused.
    static func url(schemes: [String]) -> SettingParser {
        SettingParser(
            form: "a URL that begins with \(schemes.map { $0 + "://" }.joined(separator: " or "))",
            parse: { text throws(SettingRefusal) in
                guard let url = URLComponents(string: text), let scheme = url.scheme?.lowercased(),
                    schemes.contains(scheme), url.host?.isEmpty == false, url.user == nil, url.password == nil,
                    url.query == nil, url.fragment == nil
                else { throw SettingRefusal() }
                return text.hasSuffix("/") ? String(text.dropLast()) : text
            }, render: { $0 })
    }

    /// The path of a file that can be read.
    static var readableFile: SettingParser {
        SettingParser(
            form: "the path of a readable file",
            parse: { text throws(SettingRefusal) in
                guard FileManager.default.isReadableFile(atPath: text) else { throw SettingRefusal() }
                return text
            }, render: { $0 })
    }
}

extension SettingParser {
    /// Entries separated by commas, or a JSON array of strings; duplicates are dropped.
    static func list<Element: Sendable & Hashable & CustomStringConvertible>(
        of form: String, element: @escaping @Sendable (String) throws(SettingRefusal) -> Element
    ) -> SettingParser where Value == [Element] {
        SettingParser(
            form: "\(form), separated by commas", allowsNothing: true,
            parse: { text throws(SettingRefusal) in
                var values: [Element] = []
                for (index, entry) in try listEntries(of: text).enumerated() {
                    let value: Element
                    do throws(SettingRefusal) {
                        value = try element(entry)
                    } catch {
                        throw SettingRefusal(error.detail ?? "entry \(index + 1) is not")
                    }
                    if !values.contains(value) { values.append(value) }
                }
                return values
            }, render: { $0.map(\.description).joined(separator: ",") })
    }
}

extension SettingParser where Value == [String] {
    /// Texts separated by commas, or a JSON array of strings.
    static func list(of form: String) -> SettingParser {
        list(of: form, element: { $0 })
    }
}

private func listEntries(of text: String) throws(SettingRefusal) -> [String] {
    guard text.hasPrefix("[") else {
        return text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
    do {
        return try JSON.decoder.decode([String].self, from: Data(text.utf8))
    } catch {
        throw SettingRefusal("it is not a JSON array of strings")
    }
}

extension SettingParser where Value == Secret {
    /// A secret of at least so many bytes.
    static func secret(minimumBytes: Int = 1) -> SettingParser {
        SettingParser(
            form: minimumBytes > 1 ? "a secret of at least \(minimumBytes) bytes" : "a secret", isSecret: true,
            parse: { text throws(SettingRefusal) in
                guard text.utf8.count >= minimumBytes else {
                    throw SettingRefusal("it has \(text.utf8.count) bytes")
                }
                return Secret(text)
            }, render: { _ in "" })
    }

    /// What libpq takes as a connection string, with the password in it.
    static var databaseURL: SettingParser {
        SettingParser(
            form: "a PostgreSQL URL or libpq keywords (host=... dbname=...)", isSecret: true,
            parse: { text throws(SettingRefusal) in
                let url = Secret(text)
                if let problem = LibPQConnector.problem(with: url) { throw SettingRefusal(problem) }
                return url
            }, render: { _ in "" })
    }
}

extension SettingParser where Value == [Secret] {
    /// Service tokens, separated by commas.
    static var serviceTokens: SettingParser {
        SettingParser(
            form: "tokens separated by commas, each \(ServiceTokenSecret.marker) and at least 32 characters",
            isSecret: true, allowsNothing: true,
            parse: { text throws(SettingRefusal) in
                var tokens: [Secret] = []
                for (index, entry) in try listEntries(of: text).enumerated() {
                    guard entry.hasPrefix(ServiceTokenSecret.marker),
                        (ServiceTokenSecret.marker.count + 32...256).contains(entry.utf8.count)
                    else { throw SettingRefusal("entry \(index + 1) is not") }
                    tokens.append(Secret(entry))
                }
                return tokens
            }, render: { _ in "" })
    }
}

extension SettingParser where Value == Sealer {
    /// The keys of a `Sealer`.
    static var sealer: SettingParser {
        SettingParser(
            form: "id:key pairs separated by commas, each key 32 bytes in base64", isSecret: true,
            parse: { text throws(SettingRefusal) in
                do throws(SealerError) {
                    return try Sealer(keys: Secret(text))
                } catch {
                    throw SettingRefusal(error.message)
                }
            }, render: { _ in "" })
    }
}
