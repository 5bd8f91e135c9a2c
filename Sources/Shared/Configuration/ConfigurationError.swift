/// One thing that is wrong with the configuration.
package struct ConfigurationProblem: Sendable, Equatable, Codable, CustomStringConvertible {
    /// The variable to change.
    package let variable: String
    /// What is wrong; holds the value unless that is secret.
    package let problem: String
    /// What to do.
    package let fix: String

    init(_ variable: String, _ problem: String, fix: String) {
        self.variable = variable
        self.problem = problem
        self.fix = fix
    }

    /// All three in one line.
    package var description: String {
        "\(variable) \(problem). Fix: \(fix)."
    }
}

/// The configuration cannot be used; holds everything that is wrong, not only the first thing.
package struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// At least one.
    package let problems: [ConfigurationProblem]

    /// A headline and one line for each problem.
    package var description: String {
        let headline =
            problems.count == 1
            ? "The configuration has a problem:" : "The configuration has \(problems.count) problems:"
        return ([headline] + problems.map { "  \($0)" }).joined(separator: "\n")
    }
}
