/// What a handler is asked: who calls, the checked body, the query and the variables of the path.
struct Question {
    let call: Call
    let caller: Caller
    /// The known members of the body.
    let body: JSONObject
    /// The variables of the route's path, by name.
    let variables: [String: String]
    let settings: SimulatorSettings

    /// A member of the body as text; nil when absent, null or empty.
    func text(_ name: String) -> String? {
        guard let value = body[name]?.string, !value.isEmpty else { return nil }
        return value
    }

    /// A parameter of the query; nil when absent or empty.
    func parameter(_ name: String) -> String? {
        guard let value = call.query[name], !value.isEmpty else { return nil }
        return value
    }

    /// A yes-or-no parameter of the query.
    func flag(_ name: String) -> Bool { ["true", "True", "1"].contains(parameter(name)) }

    /// A whole number of the query.
    ///
    /// - Throws: 422 when it is no number or outside `range`.
    func whole(_ name: String, default standard: Int, in range: ClosedRange<Int>) throws(Refusal) -> Int {
        guard let text = parameter(name) else { return standard }
        let location: [JSON] = ["query", .string(name)]
        guard let value = Int(text) else {
            throw .invalid([
                Violation(
                    type: "int_parsing", location: location,
                    message: "Input should be a valid integer, unable to parse string as an integer")
            ])
        }
        if value < range.lowerBound {
            let message = "Input should be greater than or equal to \(range.lowerBound)"
            throw .invalid([Violation(type: "greater_than_equal", location: location, message: message)])
        }
        if value > range.upperBound {
            let message = "Input should be less than or equal to \(range.upperBound)"
            throw .invalid([Violation(type: "less_than_equal", location: location, message: message)])
        }
        return value
    }
}

/// Who sent a request.
enum Caller: Sendable {
    /// Nobody had to be asked: the route is open.
    case anyone
    /// The master key.
    case master
    /// A virtual key, and the role of its user.
    case key(KeyRow, role: String)

    /// The user in whose name the caller acts.
    var userID: String? {
        switch self {
        case .anyone: nil
        case .master: "default_user_id"
        case .key(let row, _): row.userID
        }
    }

    var isMaster: Bool { if case .master = self { true } else { false } }

    /// The caller's own key, unless it is the master key.
    var key: KeyRow? { if case .key(let row, _) = self { row } else { nil } }
}

/// One page of a longer list.
struct Page<Element> {
    let elements: [Element]
    let total: Int
    let number: Int
    let size: Int

    init(of all: [Element], number: Int, size: Int) {
        total = all.count
        self.number = number
        self.size = size
        elements = Array(all.dropFirst((number - 1) * size).prefix(size))
    }

    var pages: Int { (total + size - 1) / size }
}
