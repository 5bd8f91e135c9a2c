import Foundation
import Shared

/// A bar on standard error while something long goes on: redrawn in place on a terminal, else a line now and then.
struct ProgressBar {
    private static let width = 30
    /// Between two lines where there is no terminal.
    private static let lineInterval: Duration = .seconds(10)

    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let isQuiet: Bool
    private var lastLine: ContinuousClock.Instant?

    init(isQuiet: Bool) { self.isQuiet = isQuiet }

    /// - Parameter fraction: 0...1; nil while nothing is known.
    mutating func show(_ fraction: Double?, _ message: String) {
        guard !isQuiet else { return }
        let part = min(max(fraction ?? 0, 0), 1)
        let percent = fraction.map { _ in "\(Int(part * 100))%" } ?? "…"
        if isTerminal {
            let filled = Int(part * Double(Self.width))
            let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: Self.width - filled)
            write("\r\u{1B}[K\(bar) \(percent)  \(Table.oneLine(message))")
        } else if lastLine.map({ .now - $0 >= Self.lineInterval }) ?? true {
            lastLine = .now
            write("\(percent)  \(Table.oneLine(message))\n")
        }
    }

    /// Takes the bar away; what came of it is the command's to say.
    func clear() {
        if !isQuiet, isTerminal { write("\r\u{1B}[K") }
    }

    private func write(_ text: String) {
        StandardStreamSink(.standardError).write(Array(text.utf8))
    }
}

/// A question before something that is not easily undone.
enum Confirmation {
    /// Whether the person at the terminal agrees.
    ///
    /// - Throws: ``ExitStatus/usage`` where nobody can be asked: then `--yes` is needed.
    static func ask(_ question: String) throws -> Bool {
        guard isatty(STDIN_FILENO) == 1, isatty(STDERR_FILENO) == 1 else {
            Console.error("\(question) Nobody is there to ask: nothing was done. Add --yes to go on.")
            throw ExitStatus.usage
        }
        StandardStreamSink(.standardError).write(Array("\(question) [y/N] ".utf8))
        let answer = readLine()?.trimmingCharacters(in: .whitespaces).lowercased()
        return answer == "y" || answer == "yes"
    }
}
