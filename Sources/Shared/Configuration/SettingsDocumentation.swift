/// The list of settings as files: `docs/configuration.md` and `.env.example`.
package enum SettingsDocumentation {
    private static let preface = """
        # Configuration

        All programs are configured through environment variables. This page is made from the list in
        `Sources/Shared/Configuration` by `litemaasctl config docs`; `.env.example` by `litemaasctl config docs --env`.

        - The environment wins over the file `.env` in the working directory (another one: `ENV_FILE`).
        - An empty value counts as not set. Lists are separated by commas. Times may be plain numbers of the unit that
          is named, or carry their own (`500ms`, `30s`, `15m`, `24h`, `7d`).
        - A program does not start with a value that is wrong or missing; it lists everything that is to mend.
        - `litemaasctl config check` tells without starting anything; `litemaasctl config print` shows what is in force
          and where it comes from, secrets redacted.
        - *reserved*: accepted, so that an existing environment can be kept, and not read yet.

        """

    /// The whole of `docs/configuration.md`.
    package static func markdown() -> String {
        SettingGroup.allCases.reduce(into: preface) { text, group in
            text += "\n## \(group.rawValue)\n\n| Variable | Default | Read by | Meaning |\n|---|---|---|---|\n"
            for definition in SettingsList.all where definition.group == group {
                text += row(definition)
            }
        }
    }

    /// The whole of `.env.example`: required variables are there to fill in, the others as comments.
    package static func environmentFile() -> String {
        var text = """
            # Settings of LiteMaaS Backend. Copy to .env and fill in; the environment wins over this file.
            # Everything that is commented out shows its default or an example. See docs/configuration.md.

            """
        for group in SettingGroup.allCases {
            text += "\n# --- \(group.rawValue)\n"
            for definition in SettingsList.all where definition.group == group {
                text += "\n" + entry(definition)
            }
        }
        return text
    }

    private static func row(_ definition: SettingDefinition) -> String {
        let aliases = definition.aliases.map { "<br>also `\($0)`" }.joined()
        let isRequired = !definition.requiredBy.isEmpty
        let required = "**required** (\(programs(definition.requiredBy)))"
        let initial = definition.defaultText.isEmpty ? "" : "`\(definition.defaultText)`"
        let cells = [
            "`\(definition.name)`\(aliases)", isRequired ? required : initial, readers(definition), meaning(definition),
        ]
        return "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n"
    }

    private static func readers(_ definition: SettingDefinition) -> String {
        switch definition.status {
        case .used: programs(definition.usedBy)
        case .reserved(let purpose): "reserved (\(purpose))"
        case .withoutEffect: "nothing"
        case .elsewhere(let reader): reader
        }
    }

    private static func meaning(_ definition: SettingDefinition) -> String {
        switch definition.status {
        case .used:
            let form = definition.form.isEmpty ? "" : " Must be \(definition.form)."
            let secret = definition.isSecret ? " Secret, never shown." : ""
            let command = definition.generator.isEmpty ? "" : " To make one: `\(definition.generator)`."
            return definition.summary + form + secret + command
        case .reserved: return "\(definition.summary) Accepted, not read yet."
        case .withoutEffect(let reason): return "\(definition.summary) Accepted, without effect: \(reason)."
        case .elsewhere: return definition.summary
        }
    }

    private static func entry(_ definition: SettingDefinition) -> String {
        var text = "# \(definition.summary)\n"
        switch definition.status {
        case .reserved(let purpose): text += "# Reserved for \(purpose): accepted, not read yet.\n"
        case .withoutEffect(let reason): text += "# Without effect: \(reason).\n"
        case .used, .elsewhere: break
        }
        if !definition.generator.isEmpty { text += "# To make one: \(definition.generator)\n" }
        let isRequired = !definition.requiredBy.isEmpty
        return text + "\(isRequired ? "" : "#")\(definition.name)=\(definition.example)\n"
    }

    private static func programs(_ processes: [ProcessKind]) -> String {
        processes.count == ProcessKind.allCases.count
            ? "all" : processes.map(\.rawValue).joined(separator: ", ")
    }
}
