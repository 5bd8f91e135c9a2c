import Foundation
import Testing

/// The simulator as a program: its options, its call log, its clock, its end.
@Suite struct SimulatorProgram {
    @Test func `the admin API wants the master key`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            for key in [nil, "sk-someone-else-0123"] {
                let state = try await wire.send("GET", "/_sim/state", key: key)
                #expect(state.status == 401)
                let reset = try await wire.send("POST", "/_sim/reset", [:], key: key)
                #expect(reset.status == 401)
            }
            #expect(try await wire.get("/_sim/state").status == 200)
            #expect(try await wire.get("/_sim/nonsense").status == 404)
        }
    }

    @Test func `state counts what there is, and reset forgets it`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            _ = try await wire.generate("one")
            _ = try await wire.generate("two")
            _ = try await wire.post("/key/delete", ["key_aliases": ["two"]])
            _ = try await wire.post("/user/new", ["user_id": "u-1", "auto_create_key": false])
            let state = try await wire.get("/_sim/state").json
            #expect(state["keys"] == 1)
            #expect(state["deleted_keys"] == 1)
            #expect(state["aliases"] == ["one"])
            #expect(state["user_ids"] == ["u-1"])
            #expect(try await wire.post("/_sim/reset", [:]).status == 200)
            #expect(try await wire.get("/_sim/state").json["keys"] == 0)
        }
    }

    @Test func `the clock makes keys expire and budgets start anew`() async throws {
        try await SimulatorProcess.with { simulator in
            let wire = simulator.wire
            _ = try await wire.post(
                "/key/generate",
                [
                    "key": "sk-clock-0123456789", "duration": "2d", "budget_duration": "1d", "spend": 5,
                    "max_budget": 5,
                ])
            func info() async throws -> JSON? {
                try await wire.get("/key/info", ["key": "sk-clock-0123456789"]).json["info"]
            }
            #expect(try await info()?["spend"] == 5)
            #expect(try await wire.post("/_sim/clock", ["advance_seconds": 86_400]).status == 200)
            #expect(try await info()?["spend"] == 0)
            #expect(try await info()?["status"] == "active")
            _ = try await wire.post("/_sim/clock", ["advance_seconds": 86_401])
            #expect(try await info()?["status"] == "expired")
            #expect(try await wire.post("/_sim/clock", ["advance_seconds": -1]).status == 422)
        }
    }

    @Test func `chosen keys can be forbidden`() async throws {
        try await SimulatorProcess.with(["--disable-custom-keys"]) { simulator in
            let wire = simulator.wire
            let chosen = try await wire.generate("one")
            #expect(chosen.status == 403)
            #expect(chosen.message?.contains("Custom API key values are disabled by your administrator.") == true)
            #expect(try await wire.post("/key/generate", ["key_alias": "one"]).status == 200)
        }
    }

    @Test func `the call log tells calls apart and never tells a secret`() async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("calls-\(UUID().uuidString).jsonl")
        defer { try? FileManager.default.removeItem(at: file) }
        let secret = "sk-one-0123456789"
        try await SimulatorProcess.with(["--call-log", file.path]) { simulator in
            let wire = simulator.wire
            try await wire.fault(["kind": "drop", "when": "after"], match: ["path": "/key/generate", "count": 1])
            await #expect(throws: WireError.dropped) { try await wire.generate("one") }
            _ = try await wire.send("GET", "/key/info?key=\(secret)", key: wire.masterKey)
            _ = try await wire.send("GET", "/models", key: secret)
            _ = try await wire.post(
                "/model/new",
                ["model_name": "m", "litellm_params": ["model": "openai/m", "api_key": "hidden-upstream-key"]])

            let calls = try await wire.get("/_sim/calls", ["alias": "one"])
            #expect(calls.json["total"] == 1)
            let call = calls.json["calls"]?[0]
            #expect(call?["method"] == "POST")
            #expect(call?["path"] == "/key/generate")
            #expect(call?["fault"] == "drop after")
            #expect(call?["status"] == .null)
            #expect(call?["caller"] == "master")
            #expect(call?["requestBody"]?.string?.contains("sha256:\(Wire.hash(secret))") == true)
            #expect(try await wire.get("/_sim/calls", ["path": "/key"]).json["total"] == 2)
            let own = try await wire.get("/_sim/calls", ["path": "/models"]).json["calls"]?[0]
            #expect(own?["caller"]?.string == "sha256:\(Wire.hash(secret))")
        }
        let text = try String(contentsOf: file, encoding: .utf8)
        let lines = text.split(separator: "\n")
        #expect(lines.count == 4)
        for line in lines { _ = try JSONDecoder().decode(JSON.self, from: Data(line.utf8)) }
        #expect(text.contains(Wire.hash(secret)))
        for hidden in [secret, SimulatorProcess.masterKey, "hidden-upstream-key"] {
            #expect(!text.contains(hidden), "\(hidden)")
        }
    }

    @Test func `a signal ends it cleanly, whatever is waiting`() async throws {
        let simulator = try await SimulatorProcess()
        let wire = simulator.wire
        try await wire.fault(["kind": "hold", "hold": "gate"], match: ["path": "/key/generate"])
        let held = Task { try await wire.generate("one") }
        try await eventually {
            try await wire.get("/_sim/holds").json["held"]?.elements.isEmpty == false ? () : nil
        }
        #expect(try await simulator.stop() == 0)
        await #expect(throws: WireError.dropped) { try await held.value }
    }

    @Test func `options that make no sense are refused`() async throws {
        for arguments in [
            ["--upstream", "127.0.0.1:4000"], ["--port", "70000"], ["--call-log", "/no/such/folder/x"],
        ] {
            await #expect(throws: SimulatorProcess.StartError.self) {
                let simulator = try await SimulatorProcess(arguments)
                try await simulator.stop()
            }
        }
    }
}

/// The simulator as a proxy before another LiteLLM.
@Suite struct SimulatorProxy {
    private func withProxy(_ body: (_ proxy: Wire, _ upstream: Wire) async throws -> Void) async throws {
        try await SimulatorProcess.with { upstream in
            try await SimulatorProcess.with(["--upstream", upstream.url]) { proxy in
                try await body(proxy.wire, upstream.wire)
            }
        }
    }

    @Test func `requests and answers pass unchanged`() async throws {
        try await withProxy { proxy, upstream in
            #expect(try await proxy.generate("one").status == 200)
            #expect(try await upstream.count("one") == 1)
            let direct = try await upstream.get("/key/info", ["key": "sk-one-0123456789"])
            let through = try await proxy.get("/key/info", ["key": "sk-one-0123456789"])
            #expect(through.json == direct.json)
            #expect(try await proxy.send("GET", "/key/list", key: nil).status == 401)
            #expect(try await proxy.get("/key/generate").headers["allow"] == "POST")
            let deleted = try await proxy.send(
                "POST", "/key/delete", ["key_aliases": ["one"]], key: proxy.masterKey,
                headers: ["litellm-changed-by": "job-1"])
            #expect(deleted.status == 200)
            let info = try await upstream.get("/key/info", ["key": "sk-one-0123456789"])
            #expect(info.json["info"]?["litellm_changed_by"] == "job-1")
        }
    }

    @Test func `a stream passes`() async throws {
        try await withProxy { proxy, _ in
            let answer = try await proxy.send(
                "POST", "/chat/completions", ["model": "mock-free", "stream": true, "messages": []],
                key: proxy.masterKey)
            #expect(answer.headers["content-type"]?.hasPrefix("text/event-stream") == true)
            #expect(answer.text.hasSuffix("data: [DONE]\n\n"))
        }
    }

    @Test func `faults happen before or after the other LiteLLM`() async throws {
        try await withProxy { proxy, upstream in
            try await proxy.fault(["kind": "drop"], match: ["body_contains": "early"])
            try await proxy.fault(["kind": "drop", "when": "after"], match: ["body_contains": "late"])
            await #expect(throws: WireError.dropped) { try await proxy.generate("early") }
            await #expect(throws: WireError.dropped) { try await proxy.generate("late") }
            #expect(try await upstream.count("early") == 0)
            #expect(try await upstream.count("late") == 1)
        }
    }

    @Test func `a held request reaches the other LiteLLM when it is released`() async throws {
        try await withProxy { proxy, upstream in
            try await proxy.fault(["kind": "hold", "hold": "gate"], match: ["path": "/key/generate"])
            async let held = proxy.generate("one")
            try await eventually {
                try await proxy.get("/_sim/holds").json["held"]?.elements.isEmpty == false ? () : nil
            }
            #expect(try await upstream.count("one") == 0)
            _ = try await proxy.post("/_sim/hold/gate/release", [:])
            #expect(try await held.status == 200)
            #expect(try await upstream.count("one") == 1)
            #expect(try await proxy.get("/_sim/calls", ["alias": "one"]).json["calls"]?[0]?["fault"] == "hold")
        }
    }

    @Test func `a LiteLLM that is not there is a dropped connection`() async throws {
        try await SimulatorProcess.with { upstream in
            try await SimulatorProcess.with(["--upstream", upstream.url]) { proxy in
                try await upstream.stop()
                await #expect(throws: WireError.dropped) { try await proxy.wire.get("/key/list") }
                let call = try await proxy.wire.get("/_sim/calls").json["calls"]?[0]
                #expect(call?["end"]?.string?.hasPrefix("dropped: upstream:") == true)
            }
        }
    }
}
