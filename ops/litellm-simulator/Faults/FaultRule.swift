/// Which requests a fault is for. What is not given matches every request.
struct FaultMatch: Sendable {
    /// Upper case.
    var method: String?
    /// How the path starts.
    var path: String?
    /// A regular expression that must be found in the path.
    var pathRegex: String?
    /// Text that must be found in the body.
    var bodyContains: String?
    /// How many of a hundred matching requests are hit.
    var percent: Double = 100
    /// How many requests are hit before the rule is used up.
    var count: Int?

    /// True when `call` is one this fault is for; the dice and the count are not asked.
    func fits(_ call: Call) -> Bool {
        if let method, call.method != method { return false }
        if let path, !call.path.hasPrefix(path) { return false }
        if let bodyContains, !String(decoding: call.body, as: UTF8.self).contains(bodyContains) { return false }
        guard let pathRegex else { return true }
        do {
            return call.path.firstMatch(of: try Regex(pathRegex)) != nil
        } catch {
            // The reader lets only regular expressions in.
            return false
        }
    }
}

/// What happens to a request.
struct FaultAction: Sendable {
    enum Kind: Sendable {
        /// The request waits, then goes on.
        case latency(milliseconds: Int)
        /// This answer instead of the real one.
        case status(Answer)
        /// The connection is closed without an answer.
        case drop
        /// The head and half of the body are sent, then the connection is closed.
        case cut
        /// 200 with a body that is no JSON.
        case garbage(Answer)
        /// Model lists are empty.
        case emptyModels
        /// LiteLLM's answers while its database is down.
        case databaseDown
        /// The request waits until it is released by this name.
        case hold(name: String)
        /// Nothing answers: every connection is dropped, or refused by a closed port.
        case down(refuses: Bool)
    }

    enum Phase: String, Sendable {
        /// The request has had no effect yet, and has none when the fault ends it.
        case before
        /// The request has had its effect; only its answer is lost or late.
        case after
    }

    let kind: Kind
    let phase: Phase

    /// True when nothing comes after this fault.
    var isFinal: Bool {
        switch kind {
        case .latency, .hold: false
        case .status, .drop, .cut, .garbage, .emptyModels, .databaseDown, .down: true
        }
    }

    /// The word for it in the call log.
    var word: String {
        let word =
            switch kind {
            case .latency: "latency"
            case .status(let answer): "status \(answer.status)"
            case .drop: "drop"
            case .cut: "cut"
            case .garbage: "garbage"
            case .emptyModels: "empty_models"
            case .databaseDown: "database_down"
            case .hold: "hold"
            case .down: "down"
            }
        return phase == .after ? "\(word) after" : word
    }
}

/// A fault and the requests it is for.
struct FaultRule: Sendable {
    let id: Int
    /// Chosen by whoever made the rule; nil when they did not.
    let name: String?
    var match: FaultMatch
    let action: FaultAction
    /// The rule as it was given.
    let source: JSONObject
    /// When it ends by itself.
    let ends: ContinuousClock.Instant?
    /// Requests it has hit.
    var hits = 0

    /// For the admin API and the call log.
    var label: String { name ?? "\(id)" }

    var json: JSON {
        .object(
            source.merged(with: [
                "id": .integer(id), "hits": .integer(hits),
                "remaining": JSON(match.count.map { max(0, $0 - hits) }),
            ]))
    }
}
