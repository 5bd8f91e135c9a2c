import NIOCore

/// The API under `/_sim`, guarded by the master key: faults, held requests, the call log, the state, the clock.
struct Admin: Sendable {
    let parts: Parts

    /// True for a request that is the simulator's own business.
    static func owns(_ call: Call) -> Bool { call.path == "/_sim" || call.path.hasPrefix("/_sim/") }

    /// Answers an admin request.
    ///
    /// - Parameter channel: the connection it came on, which stays open when all others are cut.
    func answer(_ call: Call, on channel: any Channel) async -> Answer {
        do throws(Refusal) {
            let secret = Authentication.credential(of: call) ?? ""
            guard Authentication.constantTimeEqual(secret, parts.settings.masterKey) else {
                throw .detail(401, "/_sim wants the master key: Authorization: Bearer sk-...")
            }
            let path = call.path.split(separator: "/").dropFirst().map(String.init)
            return try answer(call, path, channel)
        } catch {
            return error.answer
        }
    }

    private func answer(_ call: Call, _ path: [String], _ channel: any Channel) throws(Refusal) -> Answer {
        switch (call.method, path.first, path.count) {
        case ("GET", "faults", 1): return Answer(["faults": .array(parts.faults.rules.map(\.json))])
        case ("POST", "faults", 1): return try addFaults(call, keeping: channel)
        case ("DELETE", "faults", 1): return Answer(["removed": .integer(parts.faults.remove { _ in true })])
        case ("DELETE", "faults", 2): return try removeFault(path[1])
        case ("GET", "holds", 1): return Answer(["held": .array(parts.waiting.held.map(Self.shown))])
        case ("POST", "hold", 3) where path[2] == "release": return release(path[1], call)
        case ("GET", "calls", 1): return calls(call)
        case ("DELETE", "calls", 1):
            parts.log.clear()
            return Answer(["cleared": true])
        case ("GET", "state", 1): return try state()
        case ("POST", "reset", 1): return reset()
        case ("POST", "clock", 1): return try clock(call)
        default:
            throw .detail(
                404,
                "/_sim has GET, POST, DELETE faults; DELETE faults/{name}; GET holds; POST hold/{name}/release; "
                    + "GET, DELETE calls; GET state; POST reset; POST clock")
        }
    }

    private func addFaults(_ call: Call, keeping channel: any Channel) throws(Refusal) -> Answer {
        let json = try Self.json(call)
        let added = try parts.faults.add(json.elements ?? [json])
        for rule in added {
            guard case .down(let refuses) = rule.action.kind else { continue }
            parts.connections.closeAll(except: channel)
            if refuses, let ends = rule.ends { parts.port.close(until: ends) }
        }
        let shown = added.map(\.json)
        return Answer(json.elements == nil ? shown.first ?? .null : .array(shown), status: 201)
    }

    private func removeFault(_ name: String) throws(Refusal) -> Answer {
        let count = parts.faults.remove { $0.label == name || "\($0.id)" == name }
        guard count > 0 else { throw .detail(404, "no fault is called \(name)") }
        return Answer(["removed": .integer(count)])
    }

    /// Opens the gate: what is held goes on, and nothing more is held unless `?keep=true`.
    private func release(_ name: String, _ call: Call) -> Answer {
        if call.query["keep"] != "true" {
            parts.faults.remove { rule in
                if case .hold(name) = rule.action.kind { true } else { false }
            }
        }
        return Answer(["released": .integer(parts.waiting.release(name))])
    }

    private func calls(_ call: Call) -> Answer {
        let found = parts.log.calls(
            path: call.query["path"], alias: call.query["alias"], containing: call.query["contains"])
        let limit = call.query["limit"].flatMap { Int($0) } ?? found.count
        return Answer(["total": .integer(found.count), "calls": .array(Array(found.suffix(max(0, limit))))])
    }

    private func state() throws(Refusal) -> Answer {
        guard let simulator = parts.simulator else {
            throw .detail(404, "there is no state here: requests go to --upstream")
        }
        return Answer(
            simulator.withState { state in
                [
                    "keys": .integer(state.keys.count), "deleted_keys": .integer(state.deletedKeys.count),
                    "users": .integer(state.users.count), "teams": .integer(state.teams.count),
                    "models": .integer(state.models.count), "calls_charged": .integer(state.ledger.entries.count),
                    "aliases": JSON(state.keys.all.compactMap(\.alias).sorted()),
                    "user_ids": JSON(state.users.keys.sorted()), "team_ids": JSON(state.teams.keys.sorted()),
                    "now": state.now.zulu,
                ]
            })
    }

    private func reset() -> Answer {
        parts.faults.reset()
        parts.waiting.giveUpAll()
        parts.databaseDown.reset()
        parts.log.clear()
        parts.simulator?.withState { $0 = State() }
        return Answer(["reset": true])
    }

    private func clock(_ call: Call) throws(Refusal) -> Answer {
        guard let simulator = parts.simulator else {
            throw .detail(404, "there is no clock here: requests go to --upstream")
        }
        guard let seconds = try Self.json(call)["advance_seconds"]?.wholeNumber, seconds >= 0 else {
            throw .detail(422, "clock wants {\"advance_seconds\": N} with N of 0 or more")
        }
        let now = simulator.withState { state in
            state.advanceClock(seconds: seconds)
            return state.now
        }
        return Answer(["now": now.zulu])
    }

    private static func shown(_ held: Waiting.Held) -> JSON {
        [
            "name": .string(held.name), "call": .integer(held.call.id), "method": .string(held.call.method),
            "path": .string(Redaction.text(held.call.path)), "since": held.since.zulu,
        ]
    }

    private static func json(_ call: Call) throws(Refusal) -> JSON {
        guard let json = JSON(parsing: call.body) else { throw .detail(422, "the body is no JSON") }
        return json
    }
}
