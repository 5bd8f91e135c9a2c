/// The fields of a cron expression as sets of bits: bit n is set when the value n matches.
struct CronFields: Sendable, Equatable {
    let seconds: UInt64
    let minutes: UInt64
    let hours: UInt64
    let days: UInt64
    let months: UInt64
    /// 0 is Sunday.
    let weekdays: UInt64
    /// Classic cron: where both kinds of day are restricted, either may match.
    let matchesEitherDay: Bool
    /// The hour field begins with `*`: real time, not times of day.
    let isInterval: Bool

    private struct Field {
        let name: String
        let range: ClosedRange<Int>
        var names: [String] = []
        /// The value of the first name.
        var firstName = 0
    }

    private static let monthNames = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let second = Field(name: "second", range: 0...59)
    private static let minute = Field(name: "minute", range: 0...59)
    private static let hour = Field(name: "hour", range: 0...23)
    private static let day = Field(name: "day of month", range: 1...31)
    private static let month = Field(name: "month", range: 1...12, names: monthNames, firstName: 1)
    private static let weekday = Field(
        name: "day of week", range: 0...7, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"])

    /// Reads five or six fields, separated by single spaces.
    init(_ text: String) throws(CronError) {
        var parts = text.split(separator: " ").map { $0.lowercased() }
        guard parts.count == 5 || parts.count == 6 else {
            throw CronError(
                field: "expression", problem: "it has \(parts.count) fields",
                fix: "write five (minute hour day-of-month month day-of-week), or six with seconds in front")
        }
        if parts.count == 5 { parts.insert("0", at: 0) }
        seconds = try Self.bits(parts[0], Self.second)
        minutes = try Self.bits(parts[1], Self.minute)
        hours = try Self.bits(parts[2], Self.hour)
        days = try Self.bits(parts[3], Self.day)
        months = try Self.bits(parts[4], Self.month)
        let weekdays = try Self.bits(parts[5], Self.weekday)
        // 7 is Sunday too.
        self.weekdays = (weekdays | (weekdays >> 7)) & 0x7f
        matchesEitherDay = !parts[3].hasPrefix("*") && !parts[5].hasPrefix("*")
        isInterval = parts[2].hasPrefix("*")
        try checkThatItComes()
    }

    /// Whether the civil day matches.
    func matches(month: Int, day: Int, weekday: Int) -> Bool {
        guard has(months, month) else { return false }
        let isDay = has(days, day)
        let isWeekday = has(weekdays, weekday)
        return matchesEitherDay ? isDay || isWeekday : isDay && isWeekday
    }

    func has(_ bits: UInt64, _ value: Int) -> Bool { bits & (1 << UInt64(value)) != 0 }

    private func checkThatItComes() throws(CronError) {
        guard !matchesEitherDay else { return }
        let lengths = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        let comes = (1...12).contains { month in
            has(months, month) && (1...lengths[month - 1]).contains { has(days, $0) }
        }
        guard comes else {
            throw CronError(
                field: Self.day.name, problem: "no month that is chosen has such a day",
                fix: "choose a day that the months in the month field have")
        }
    }

    private static func bits(_ text: String, _ field: Field) throws(CronError) -> UInt64 {
        var bits: UInt64 = 0
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            bits |= try self.bits(ofPart: String(part), field)
        }
        return bits
    }

    /// `*`, `5`, `1-5`, `mon-fri`, `*/15`, `10-50/20`, `5/15`.
    private static func bits(ofPart part: String, _ field: Field) throws(CronError) -> UInt64 {
        let halves = part.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        var step = 1
        if halves.count == 2 {
            guard let number = Int(halves[1]), number >= 1, number <= field.range.upperBound else {
                throw refusal(
                    field, "'\(halves[1])' is not a step",
                    "write a whole number from 1 to \(field.range.upperBound) after the slash")
            }
            step = number
        } else if halves.count > 2 {
            throw refusal(field, "'\(part)' has more than one slash", "write one step, such as */15")
        }
        let ends = halves[0].split(separator: "-", omittingEmptySubsequences: false).map(String.init)
        var first = field.range.lowerBound
        var last = field.range.upperBound
        if halves[0] == "*" {
            // Sunday has two numbers; a star means each day once.
            if field.name == weekday.name { last = 6 }
        } else {
            guard ends.count <= 2 else {
                throw refusal(field, "'\(halves[0])' is not a range", "write first-last, such as 1-5")
            }
            first = try value(ends[0], field)
            last = ends.count == 2 ? try value(ends[1], field) : halves.count == 2 ? last : first
            // Sunday at the end of a range of names is the seventh day.
            if field.name == weekday.name, ends.count == 2, last == 0, first > 0 { last = 7 }
        }
        guard first <= last else {
            throw refusal(
                field, "the range '\(halves[0])' ends before it begins",
                "write the smaller value first, or two ranges with a comma between them")
        }
        return stride(from: first, through: last, by: step).reduce(0) { $0 | (1 << UInt64($1)) }
    }

    private static func value(_ text: String, _ field: Field) throws(CronError) -> Int {
        if let index = field.names.firstIndex(of: text) { return index + field.firstName }
        guard let number = Int(text), field.range.contains(number), text.utf8.count <= 2 else {
            let names = field.names.isEmpty ? "" : " or a name such as \(field.names[0])"
            throw refusal(
                field, "'\(text)' is not a value",
                "use a number from \(field.range.lowerBound) to \(field.range.upperBound)\(names)")
        }
        return number
    }

    private static func refusal(_ field: Field, _ problem: String, _ fix: String) -> CronError {
        CronError(field: field.name, problem: problem, fix: fix)
    }
}
