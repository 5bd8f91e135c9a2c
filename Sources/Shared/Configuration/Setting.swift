/// The programs that read settings.
package enum ProcessKind: String, Sendable, CaseIterable, Codable {
    /// `litemaas-api`.
    case api
    /// `litemaas-worker`.
    case worker
    /// `litemaasctl`.
    case cli
}

/// The chapters of the list.
package enum SettingGroup: String, Sendable, CaseIterable {
    case general = "General"
    case server = "HTTP server"
    case database = "PostgreSQL"
    case litellm = "LiteLLM"
    case auth = "Sign-in and access"
    case users = "New users"
    case keys = "Keys and secrets"
    case models = "Models"
    case worker = "Worker and jobs"
    case limits = "Request limits"
}

/// One environment variable: everything but its value.
package struct SettingDefinition: Sendable {
    /// What becomes of the variable.
    package enum Status: Sendable, Equatable {
        /// The programs of `usedBy` read it.
        case used
        /// Accepted and not read by these programs yet; the text says what it is for.
        case reserved(String)
        /// Known from LiteMaaS, accepted, and without effect for good; the text says why.
        case withoutEffect(String)
        /// Read by something else than the programs; the text says by what.
        case elsewhere(String)
    }

    /// The variable's name.
    package let name: String
    /// Other names under which it is found.
    package let aliases: [String]
    /// The chapter it belongs to.
    package let group: SettingGroup
    /// One or two sentences.
    package let summary: String
    /// What is accepted, to complete "must be ..."; empty where any text is.
    package let form: String
    /// The text that stands for the default; empty where there is none.
    package let defaultText: String
    /// A text to start from; never a usable secret.
    package let example: String
    /// Whether its value must never be shown.
    package let isSecret: Bool
    /// The programs that read it.
    package let usedBy: [ProcessKind]
    /// The programs that do not start without it.
    package let requiredBy: [ProcessKind]
    /// What becomes of it.
    package let status: Status
    /// A command that prints a good value; empty where there is none.
    package let generator: String

    /// A variable that is on the list and that no program reads.
    static func unread(
        _ name: String, _ group: SettingGroup, _ status: Status, isSecret: Bool = false, example: String,
        _ summary: String
    ) -> SettingDefinition {
        SettingDefinition(
            name: name, aliases: [], group: group, summary: summary, form: "", defaultText: "",
            example: example, isSecret: isSecret, usedBy: [], requiredBy: [], status: status, generator: "")
    }

    /// All names, the own one first.
    var names: [String] {
        [name] + aliases
    }
}

/// A variable together with the type of its value.
struct Setting<Value: Sendable>: Sendable {
    let definition: SettingDefinition
    let parser: SettingParser<Value>
    /// The value where nothing is set, or for a program that does not read the variable.
    let fallback: Value

    /// - Parameters:
    ///   - fallback: the default; where the variable is required, a value that is never seen by those who need it.
    ///   - requiredBy: programs that do not start without the variable; it has no default for anybody then.
    init(
        _ name: String, aliases: [String] = [], _ parser: SettingParser<Value>, default fallback: Value,
        _ group: SettingGroup, usedBy: [ProcessKind] = [.api, .worker], requiredBy: [ProcessKind] = [],
        example: String = "", generator: String = "", _ summary: String
    ) {
        let defaultText = requiredBy.isEmpty ? parser.render(fallback) : ""
        self.definition = SettingDefinition(
            name: name, aliases: aliases, group: group, summary: summary, form: parser.form,
            defaultText: defaultText, example: example.isEmpty ? defaultText : example, isSecret: parser.isSecret,
            usedBy: usedBy, requiredBy: requiredBy, status: .used, generator: generator)
        self.parser = parser
        self.fallback = fallback
    }
}
