import Foundation
import Testing

/// The faults of the simulator, over its admin API.
@Suite struct SimulatorFaults {
    @Test func `a status before the effect leaves nothing behind`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            try await wire.fault(["kind": "status", "status": 503], match: ["path": "/key/generate", "count": 1])
            let answer = try await wire.generate("one")
            #expect(answer.status == 503)
            #expect(answer.message == "Injected fault")
            #expect(try await wire.count("one") == 0)
            #expect(try await wire.generate("one").status == 200)
        }
    }

    @Test func `a status after the effect hides that it happened`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            try await wire.fault(["kind": "status", "status": 500, "when": "after"], match: ["path": "/key/generate"])
            #expect(try await wire.generate("one").status == 500)
            #expect(try await wire.count("one") == 1)
        }
    }

    @Test func `a status has the body and the wait that were asked for`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            try await wire.fault([
                "kind": "status", "status": 429, "retry_after": 7, "body": ["error": ["message": "slow down"]],
            ])
            let answer = try await wire.get("/key/list")
            #expect(answer.status == 429)
            #expect(answer.headers["retry-after"] == "7")
            #expect(answer.message == "slow down")
        }
    }

    @Test(arguments: [("before", 0.0), ("after", 1.0)])
    func `a dropped connection gives no answer, with or without the effect`(
        _ when: String, _ keys: Double
    ) async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            try await wire.fault(["kind": "drop", "when": .string(when)], match: ["path": "/key/generate"])
            await #expect(throws: WireError.dropped) { try await wire.generate("one") }
            #expect(try await wire.count("one") == keys)
        }
    }

    @Test func `half a body is no answer either`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            try await wire.fault(["kind": "cut"], match: ["path": "/key/generate"])
            await #expect(throws: WireError.dropped) { try await wire.generate("one") }
            #expect(try await wire.count("one") == 1)
        }
    }

    @Test func `garbage comes with 200 after the effect`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            try await wire.fault(["kind": "garbage"], match: ["path": "/key/generate"])
            let answer = try await wire.generate("one")
            #expect(answer.status == 200)
            #expect(answer.json == .null)
            #expect(!answer.text.isEmpty)
            #expect(try await wire.count("one") == 1)
        }
    }

    @Test func `empty model lists touch nothing else`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            _ = try await wire.generate("one")
            try await wire.fault(["kind": "empty_models"])
            for path in ["/models", "/model/info", "/v1/model/info", "/v2/model/info", "/model_group/info"] {
                let answer = try await wire.get(path)
                #expect(answer.status == 200)
                #expect(answer.json["data"] == [], "\(path)")
            }
            #expect(try await wire.count("one") == 1)
        }
    }

    @Test func `latency delays and then lets go on`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            try await wire.fault(["kind": "latency", "ms": 300], match: ["path": "/key/generate"])
            let began = ContinuousClock.now
            #expect(try await wire.generate("one").status == 200)
            #expect(ContinuousClock.now - began >= .milliseconds(300))
        }
    }

    @Test func `a held request takes effect when it is released`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            try await wire.fault(["kind": "hold", "hold": "gate"], match: ["path": "/key/generate"])
            async let held = wire.generate("one")
            let list = try await eventually { () -> JSON? in
                let list = try await wire.get("/_sim/holds").json["held"]
                return list?.elements.isEmpty == false ? list : nil
            }
            #expect(list.elements.count == 1)
            #expect(list[0]?["name"] == "gate")
            #expect(list[0]?["path"] == "/key/generate")
            #expect(try await wire.count("one") == 0)
            #expect(try await wire.post("/_sim/hold/gate/release", [:]).json["released"] == 1)
            #expect(try await held.status == 200)
            #expect(try await wire.count("one") == 1)
            #expect(try await wire.get("/_sim/faults").json["faults"] == [])
        }
    }

    @Test func `a held request takes effect even when its client has gone`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            try await wire.fault(["kind": "hold", "hold": "gate"], match: ["path": "/key/generate"])
            await #expect(throws: WireError.timeout) { try await wire.generate("one", timeout: .seconds(1)) }
            #expect(try await wire.count("one") == 0)
            #expect(try await wire.post("/_sim/hold/gate/release", [:]).json["released"] == 1)
            try await eventually { try await wire.count("one") == 1 ? () : nil }
        }
    }

    @Test func `a percentage hits the same calls again after a reset`() async throws {
        try await SimulatorProcess.with(["--seed", "7"]) { simulator in
            let wire = simulator.wire
            func pattern() async throws -> [Int] {
                try await wire.fault(["kind": "status", "status": 500], match: ["percent": 30])
                var statuses: [Int] = []
                for _ in 1...60 { statuses.append(try await wire.get("/health/liveness").status) }
                return statuses
            }
            let first = try await pattern()
            let hits = first.count { $0 == 500 }
            #expect((5...35).contains(hits))
            _ = try await wire.post("/_sim/reset", [:])
            #expect(try await pattern() == first)
        }
    }

    @Test func `a match means all of its conditions`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            try await wire.fault(
                ["kind": "status", "status": 418],
                match: [
                    "method": "post", "path": "/key", "path_regex": "generate$", "body_contains": "marked-1",
                    "count": 1,
                ])
            #expect(try await wire.get("/key/list").status == 200)
            #expect(try await wire.generate("other").status == 200)
            #expect(try await wire.generate("marked-1").status == 418)
            #expect(try await wire.generate("marked-1").status == 200)
            let rule = try await wire.get("/_sim/faults").json["faults"]?[0]
            #expect(rule?["hits"] == 1)
            #expect(rule?["remaining"] == 0)
        }
    }

    @Test func `a rule is removed by its name, or ends by itself`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            let rules: JSON = [
                ["name": "first", "action": ["kind": "status", "status": 500], "match": ["path": "/models"]],
                ["name": "second", "action": ["kind": "status", "status": 500], "for_ms": 300],
            ]
            #expect(try await wire.post("/_sim/faults", rules).status == 201)
            #expect(try await wire.get("/models").status == 500)
            let removed = try await wire.send("DELETE", "/_sim/faults/first", key: wire.masterKey)
            #expect(removed.status == 200)
            try await eventually { try await wire.get("/models").status == 200 ? () : nil }
            #expect(try await wire.send("DELETE", "/_sim/faults/first", key: wire.masterKey).status == 404)
        }
    }

    @Test func `a rule that makes no sense is refused with a sentence`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            let wrong: [(JSON, String)] = [
                (["action": ["kind": "nonsense"]], "kind is latency"),
                (["action": ["kind": "status"]], "status needs status"),
                (["action": ["kind": "drop"], "match": ["pth": "/key"]], "match has no member pth"),
                (["action": ["kind": "drop"], "match": ["path_regex": "("]], "path_regex is no regular expression"),
                (["action": ["kind": "drop"], "match": ["percent": 101]], "percent is 0 to 100"),
                (["action": ["kind": "down", "how": "refuse"]], "needs for_ms"),
            ]
            for (rule, reason) in wrong {
                let answer = try await wire.post("/_sim/faults", rule)
                #expect(answer.status == 422)
                #expect(answer.detail?.contains(reason) == true, "\(answer)")
            }
            #expect(try await wire.get("/_sim/faults").json["faults"] == [])
        }
    }

    @Test func `down drops every request but the admin's`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            try await wire.fault(["kind": "down"])
            await #expect(throws: WireError.dropped) { try await wire.get("/key/list") }
            _ = try await wire.send("DELETE", "/_sim/faults", key: wire.masterKey)
            #expect(try await wire.get("/key/list").status == 200)
        }
    }

    @Test func `down can close the port, and the state outlives it`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            _ = try await wire.generate("one")
            let rule: JSON = ["action": ["kind": "down", "how": "refuse"], "for_ms": 5000]
            #expect(try await wire.post("/_sim/faults", rule).status == 201)
            try await eventually { () -> Void? in
                do {
                    _ = try await wire.get("/key/list")
                    return nil
                } catch WireError.refused {
                    return ()
                } catch WireError.dropped {
                    return nil
                }
            }
            try await eventually { () -> Void? in
                do {
                    return try await wire.count("one") == 1 ? () : nil
                } catch is WireError {
                    return nil
                }
            }
        }
    }

    @Test func `a database that is down has five statuses`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            _ = try await wire.generate("one")
            _ = try await wire.post("/team/new", ["team_id": "t-1"])
            try await wire.fault(["kind": "database_down"])
            let unknown = try await wire.send("GET", "/key/list", key: "sk-nobody-knows-this")
            #expect(unknown.status == 503)
            #expect(unknown.type == "no_db_connection")
            #expect(try await wire.generate("two").status == 500)
            #expect(try await wire.get("/key/info", ["key": Wire.hash("sk-one-0123456789")]).status == 500)
            #expect(try await wire.post("/key/update", ["key": "sk-one-0123456789"]).status == 400)
            #expect(try await wire.post("/key/block", ["key": "sk-one-0123456789"]).status == 503)
            let team = try await wire.get("/team/info", ["team_id": "t-1"])
            #expect(team.status == 404)
            #expect(team.message == "{'message': 'Team not found, passed team id: t-1.'}")
            #expect(try await wire.get("/v2/team/list", ["team_id": "t-1"]).status == 503)
            #expect(try await wire.get("/models").status == 200)
            let ready = try await wire.send("GET", "/health/readiness", key: nil)
            #expect(ready.status == 503)
            #expect(ready.json["db"] == "disconnected")
            _ = try await wire.send("DELETE", "/_sim/faults", key: wire.masterKey)
            #expect(try await wire.get("/team/info", ["team_id": "t-1"]).status == 200)
            #expect(try await wire.count("two") == 0)
        }
    }

    @Test func `readiness is remembered while the database is down`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            #expect(try await wire.send("GET", "/health/readiness", key: nil).status == 200)
            try await wire.fault(["kind": "database_down"])
            #expect(try await wire.send("GET", "/health/readiness", key: nil).status == 200)
            #expect(try await wire.get("/v2/team/list").status == 503)
        }
    }
}

extension Wire {
    /// Puts a fault in force.
    func fault(_ action: JSON, match: JSON = [:]) async throws {
        let answer = try await post("/_sim/faults", ["action": action, "match": match])
        #expect(answer.status == 201, "\(answer)")
    }

    /// Makes a key whose secret and alias come from `name`.
    @discardableResult
    func generate(_ name: String, timeout: Duration = .seconds(60)) async throws -> WireAnswer {
        try await send(
            "POST", "/key/generate", ["key": .string("sk-\(name)-0123456789"), "key_alias": .string(name)],
            key: masterKey, timeout: timeout)
    }

    /// How many keys have this alias.
    func count(_ alias: String) async throws -> Double? {
        try await get("/key/list", ["key_alias": alias]).json["total_count"]?.number
    }
}
