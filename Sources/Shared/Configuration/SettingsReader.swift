import Configuration
import Foundation

/// A variable as a program sees it.
package struct ResolvedSetting: Sendable, Equatable, Codable {
    /// The variable's name on the list, even if an alias was used.
    package let name: String
    /// The value as text; `redacted` for a secret that is set, empty where nothing is set and there is no default.
    package let value: String
    /// `environment`, the name of the file, or `default`; with the alias where one was used.
    package let source: String
}

/// Looks variables up, turns them into values, and collects everything that is wrong.
struct SettingsReader {
    /// One place that variables come from, with those that are on the list.
    private struct Source {
        let name: String
        let isFile: Bool
        let values: [String: String]

        init(name: String, isFile: Bool, provider: EnvironmentVariablesProvider) throws {
            self.name = name
            self.isFile = isFile
            var values: [String: String] = [:]
            for variable in SettingsList.all.flatMap(\.names) {
                values[variable] = try provider.environmentValue(forName: variable)
            }
            self.values = values
        }
    }

    private let process: ProcessKind
    private let sources: [Source]
    private(set) var problems: [ConfigurationProblem] = []
    private(set) var resolved: [ResolvedSetting] = []

    /// The environment first, then the file that `ENV_FILE` names. Throws `ConfigurationError` when a file that was
    /// asked for cannot be read.
    init(process: ProcessKind, environment: [String: String]) async throws(ConfigurationError) {
        self.process = process
        let setting = SettingsList.environmentFile
        let given = environment[setting.definition.name].flatMap { $0.isEmpty ? nil : $0 }
        let path = given ?? setting.fallback
        do {
            let variables = EnvironmentVariablesProvider(environmentVariables: environment)
            var sources = [try Source(name: "environment", isFile: false, provider: variables)]
            if path != "none" {
                let file = try await EnvironmentVariablesProvider(
                    environmentFilePath: Self.literal(path), allowMissing: given == nil)
                sources.append(try Source(name: path, isFile: true, provider: file))
            }
            self.sources = sources
        } catch {
            let problem = ConfigurationProblem(
                setting.definition.name, "names '\(path)', which cannot be read",
                fix: "correct the path or leave it out")
            throw ConfigurationError(problems: [problem])
        }
    }

    /// A value of the path type that the provider takes, without depending on the module that declares it.
    private static func literal<Path: ExpressibleByStringLiteral>(_ text: String) -> Path
    where Path.StringLiteralType == String {
        Path(stringLiteral: text)
    }

    /// The setting's value; its fallback where it is not set, not read by this process, or wrong (then a problem is
    /// noted).
    mutating func read<Value>(_ setting: Setting<Value>) -> Value {
        let definition = setting.definition
        guard definition.usedBy.contains(process) else { return setting.fallback }
        guard let (text, source) = lookUp(definition) else {
            if definition.requiredBy.contains(process) {
                problems.append(
                    ConfigurationProblem(definition.name, "is not set", fix: "set it to \(Self.advice(definition))"))
            } else {
                resolved.append(
                    ResolvedSetting(name: definition.name, value: definition.defaultText, source: "default"))
            }
            return setting.fallback
        }
        resolved.append(
            ResolvedSetting(
                name: definition.name, value: definition.isSecret ? Redaction.placeholder : text, source: source))
        do {
            return try setting.parser.parse(text)
        } catch {
            let shown = definition.isSecret ? "" : " is '\(text.prefix(80))' and"
            let detail = error.detail.map { " (\($0))" } ?? ""
            refuse(
                definition, "\(shown) must be \(definition.form)\(detail)".trimmingCharacters(in: .whitespaces),
                fix: "set it to \(Self.advice(definition))")
            return setting.fallback
        }
    }

    /// Notes a problem of a setting, unless this process does not read it.
    mutating func refuse(_ definition: SettingDefinition, _ problem: String, fix: String) {
        guard definition.usedBy.contains(process) else { return }
        problems.append(ConfigurationProblem(definition.name, problem, fix: fix))
    }

    /// Whether something was wrong with the setting already.
    func hasProblem(_ definition: SettingDefinition) -> Bool {
        problems.contains { $0.variable == definition.name }
    }

    /// What is set and has no effect, as sentences.
    func notices() -> [String] {
        SettingsList.all.compactMap { definition in
            guard sources.contains(where: { source in definition.names.contains { value($0, in: source) != nil } })
            else { return nil }
            switch definition.status {
            case .used, .elsewhere: return nil
            case .reserved(let purpose): return "\(definition.name) is set but not read yet (reserved for \(purpose))"
            case .withoutEffect(let reason): return "\(definition.name) is set but has no effect: \(reason)"
            }
        }
    }

    /// The text and where it comes from. Notes a problem when two names of the variable disagree in one source.
    private mutating func lookUp(_ definition: SettingDefinition) -> (text: String, source: String)? {
        for source in sources {
            let found = definition.names.compactMap { name in value(name, in: source).map { (name: name, text: $0) } }
            guard let first = found.first else { continue }
            if let other = found.first(where: { $0.text != first.text }) {
                refuse(
                    definition, "and its alias \(other.name) are set to different values",
                    fix: "leave one of the two out")
            }
            let alias = first.name == definition.name ? "" : " (as \(first.name))"
            return (first.text, source.name + alias)
        }
        return nil
    }

    /// The trimmed value of a variable; nil where it is not set or empty.
    private func value(_ name: String, in source: Source) -> String? {
        guard let found = source.values[name] else { return nil }
        var text = found.trimmingCharacters(in: .whitespacesAndNewlines)
        if source.isFile, text.count >= 2, let quote = text.first, quote == "\"" || quote == "'", text.last == quote {
            text = String(text.dropFirst().dropLast())
        }
        return text.isEmpty ? nil : text
    }

    private static func advice(_ definition: SettingDefinition) -> String {
        if !definition.generator.isEmpty { return "what this prints: \(definition.generator)" }
        let example = definition.example.isEmpty ? "" : "for example \(definition.example)"
        return [definition.form, example].filter { !$0.isEmpty }.joined(separator: ", ")
    }
}
