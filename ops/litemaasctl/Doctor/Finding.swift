import Foundation
import Shared

/// What one look found: a line for people, an object in JSON.
struct Finding: Codable, Sendable {
    enum Level: String, Codable, Sendable, Comparable {
        case ok
        /// Works, but not as it should, or not for long.
        case warn
        /// Something does not work now.
        case bad

        private var rank: Int {
            switch self {
            case .ok: 0
            case .warn: 1
            case .bad: 2
            }
        }

        static func < (left: Level, right: Level) -> Bool { left.rank < right.rank }
    }

    /// What was looked at, such as `schema`.
    var check: String
    var level: Level
    /// What is the case.
    var message: String
    /// What to do; nil where nothing is wrong.
    var fix: String?

    static func ok(_ check: String, _ message: String) -> Finding {
        Finding(check: check, level: .ok, message: message)
    }

    static func warn(_ check: String, _ message: String, fix: String) -> Finding {
        Finding(check: check, level: .warn, message: message, fix: fix)
    }

    static func bad(_ check: String, _ message: String, fix: String) -> Finding {
        Finding(check: check, level: .bad, message: message, fix: fix)
    }

    /// `warn  breakers      litellm.admin is open …` and, below it, what to do.
    var text: String {
        let line =
            level.rawValue.padding(toLength: 6, withPad: " ", startingAt: 0)
            + check.padding(toLength: 14, withPad: " ", startingAt: 0) + message
        return fix.map { "\(line)\n                    → \($0)" } ?? line
    }
}

/// All findings, and how bad the worst of them is.
struct Diagnosis: Codable, Sendable {
    var findings: [Finding] = []

    var level: Finding.Level { findings.map(\.level).max() ?? .ok }

    private enum CodingKeys: String, CodingKey { case level, findings }

    init() {}

    init(from decoder: any Decoder) throws {
        findings = try decoder.container(keyedBy: CodingKeys.self).decode([Finding].self, forKey: .findings)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(level, forKey: .level)
        try container.encode(findings, forKey: .findings)
    }
}

extension Duration {
    /// `4 s`, `3 min`, `5 h`, `2 days`: one unit, rounded down.
    var words: String {
        let seconds = Int(inSeconds)
        return switch seconds {
        case ..<120: "\(seconds) s"
        case ..<7200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3600) h"
        default: "\(seconds / 86_400) days"
        }
    }
}
