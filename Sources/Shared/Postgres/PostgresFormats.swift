import Foundation

/// `numeric` on the wire: digits to the base 10 000, the weight of the first one, a sign and the scale to show.
enum PostgresNumeric {
    private static let positive: UInt16 = 0x0000
    private static let negative: UInt16 = 0x4000
    private static let notANumber: UInt16 = 0xC000
    private static let infinity: UInt16 = 0xD000
    private static let negativeInfinity: UInt16 = 0xF000

    /// As PostgreSQL prints it: all digits of the scale, `NaN`, `Infinity`, `-Infinity`.
    static func text(_ cell: PostgresCell) throws(PostgresError) -> String {
        let count = Int(try cell.integer(at: 0, as: UInt16.self))
        let weight = Int(try cell.integer(at: 2, as: Int16.self))
        let sign = try cell.integer(at: 4, as: UInt16.self)
        let scale = Int(try cell.integer(at: 6, as: UInt16.self))
        switch sign {
        case positive, negative: break
        case notANumber: return "NaN"
        case infinity: return "Infinity"
        case negativeInfinity: return "-Infinity"
        default: throw cell.malformed()
        }
        func group(_ index: Int) throws(PostgresError) -> UInt16 {
            index >= 0 && index < count ? try cell.integer(at: 8 + 2 * index) : 0
        }
        var text: [UInt8] = sign == negative ? [UInt8(ascii: "-")] : []
        if weight < 0 {
            text.append(UInt8(ascii: "0"))
        } else {
            text.append(contentsOf: String(try group(0)).utf8)
            for index in stride(from: 1, through: weight, by: 1) {
                append(try group(index), digits: 4, to: &text)
            }
        }
        if scale > 0 {
            text.append(UInt8(ascii: "."))
            var remaining = scale
            var index = weight + 1
            while remaining > 0 {
                append(try group(index), digits: min(remaining, 4), to: &text)
                remaining -= 4
                index += 1
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    static func decimal(_ cell: PostgresCell) throws(PostgresError) -> Decimal {
        let text = try text(cell)
        let digits = text.utf8.filter { $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "-") }
        // Leading zeros do not count, nor do trailing ones, which a Decimal moves into its exponent.
        let significant = digits.drop { $0 == UInt8(ascii: "0") }.reversed().drop { $0 == UInt8(ascii: "0") }
        guard significant.count <= 38 else { throw cell.malformed("it has more than 38 digits") }
        guard !text.hasSuffix("y"), text != "NaN" else { throw cell.malformed("it is not a finite number") }
        guard let value = Decimal(string: text, locale: Locale(identifier: "en_US_POSIX")) else {
            throw cell.malformed("it does not fit a Decimal")
        }
        return value
    }

    /// The first `digits` digits of a group of four.
    private static func append(_ group: UInt16, digits: Int, to text: inout [UInt8]) {
        var divisor: UInt16 = 1000
        for _ in 0..<digits {
            text.append(UInt8(ascii: "0") + UInt8(group / divisor % 10))
            divisor /= 10
        }
    }
}

/// `date` on the wire: days since the start of 2000.
enum PostgresDate {
    /// `YYYY-MM-DD`; years before 1 get ` BC`, the ends of the range are `infinity` and `-infinity`, as in PostgreSQL.
    static func text(days: Int32) -> String {
        if days == .max { return "infinity" }
        if days == .min { return "-infinity" }
        // Years are counted from March, in eras of 400 years, which all have 146 097 days.
        let shifted = Int(days) + PostgresTime.epochDays + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let shown = year > 0 ? year : 1 - year
        return "\(padded(shown, 4))-\(padded(month, 2))-\(padded(day, 2))\(year > 0 ? "" : " BC")"
    }

    private static func padded(_ value: Int, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(width - digits.count, 0)) + digits
    }
}

/// `inet` and `cidr` on the wire: family, prefix length, whether it is a cidr, length, address.
enum PostgresAddress {
    static func text(_ cell: PostgresCell) throws(PostgresError) -> String {
        let prefix = try cell.integer(at: 1, as: UInt8.self)
        let isCIDR = try cell.integer(at: 2, as: UInt8.self) != 0
        let length = Int(try cell.integer(at: 3, as: UInt8.self))
        let address = try cell.address(at: 4, length: length)
        return isCIDR || Int(prefix) != length * 8 ? "\(address)/\(prefix)" : address
    }
}
