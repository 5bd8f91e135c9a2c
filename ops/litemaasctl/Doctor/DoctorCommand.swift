import ArgumentParser
import Shared

/// `litemaasctl doctor`.
struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Looks at everything the jobs need, and says what is wrong and what to do.",
        discussion: """
            Only reads. Looks at the settings, the database and its schema, what holds vacuum back, partitions, \
            notifications, poolers, clocks, workers, queues, stuck and failed jobs, breakers, and LiteLLM. LiteLLM is \
            asked with LITELLM_API_KEY where that is set.

            Exit status: 0 all is well, 1 something should be looked at, 2 something does not work.
            """)

    @Option(help: "How long LiteLLM and the notifications have to answer, in seconds.")
    var timeout = 5
    @OptionGroup var output: OutputOptions

    mutating func validate() throws {
        guard (1...60).contains(timeout) else { throw ValidationError("--timeout is 1 to 60") }
    }

    func run() async throws {
        var diagnosis = Diagnosis()
        do throws(ConfigurationError) {
            let configuration = try await AppConfiguration.load(process: .cli)
            let database = DatabaseDoctor(configuration: configuration, limit: .seconds(timeout))
            async let upstream = LiteLLMDoctor(configuration: configuration, limit: .seconds(timeout)).look()
            diagnosis.findings += configuration.notices.map {
                .warn("settings", $0, fix: "see docs/configuration.md")
            }
            diagnosis.findings += await database.look()
            diagnosis.findings += await upstream
        } catch {
            diagnosis.findings += error.problems.map {
                .bad("settings", "\($0.variable) \($0.problem)", fix: $0.fix)
            }
        }
        if output.json {
            try Console.printJSON(diagnosis)
        } else {
            diagnosis.findings.forEach { Console.print($0.text) }
            Console.print(summary(diagnosis))
        }
        switch diagnosis.level {
        case .ok: return
        case .warn: throw ExitStatus.failed
        case .bad: throw ExitStatus.usage
        }
    }

    private func summary(_ diagnosis: Diagnosis) -> String {
        let warnings = diagnosis.findings.count { $0.level == .warn }
        let bad = diagnosis.findings.count { $0.level == .bad }
        return bad + warnings == 0 ? "All is well." : "Does not work: \(bad). Should be looked at: \(warnings)."
    }
}
