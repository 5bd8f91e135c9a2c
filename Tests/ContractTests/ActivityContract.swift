import Foundation
import Testing

extension Contract {
    /// Spend and usage.
    @Suite struct Activity {
        private var days: (from: String, until: String) {
            let style = Date.ISO8601FormatStyle().year().month().day()
            return (
                Date(timeIntervalSinceNow: -86_400).formatted(style),
                Date(timeIntervalSinceNow: 86_400).formatted(style)
            )
        }

        @Test(arguments: Target.all)
        func `a chat is counted for its key, user, team and model`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel()
                let user = try await world.makeUser(["user_email": .string("\(world.name("mail"))@example.com")])
                let team = try await world.makeTeam()
                let secret = try await world.makeKey(["user_id": .string(user), "team_id": .string(team)])
                let chat = try await world.chat(secret, model)
                #expect(chat.status == 200)
                let cost = try #require(chat.headers["x-litellm-response-cost"].flatMap(Double.init))
                let tokens = try #require(chat.json["usage"]?["total_tokens"]?.number)
                let days = days
                let answer = try await eventually { () -> WireAnswer? in
                    let answer = try await world.wire.get(
                        "/user/daily/activity",
                        ["start_date": days.from, "end_date": days.until, "api_key": Wire.hash(secret)])
                    return answer.json["results"]?.elements.isEmpty == false ? answer : nil
                }
                try check(
                    answer, world, secret: secret, user: user, team: team, model: model, cost: cost, tokens: tokens)
                let whole = try await world.wire.get(
                    "/user/daily/activity/aggregated",
                    ["start_date": days.from, "end_date": days.until, "user_id": user])
                #expect(whole.json["metadata"]?["total_api_requests"] == 1)
                try await checkSpend(world, secret: secret, user: user, team: team, cost: cost)
            }
        }

        private func check(
            _ answer: WireAnswer, _ world: World, secret: String, user: String, team: String, model: String,
            cost: Double, tokens: Double
        ) throws {
            let day = try #require(answer.json["results"]?[0])
            #expect(day["date"]?.string?.count == 10)
            #expect(day["metrics"]?["api_requests"] == 1)
            #expect(day["metrics"]?["successful_requests"] == 1)
            #expect(day["metrics"]?["failed_requests"] == 0)
            #expect(day["metrics"]?["total_tokens"]?.number == tokens)
            let spend = try #require(day["metrics"]?["spend"]?.number)
            #expect(abs(spend - cost) < 1e-9)
            let breakdown = try #require(day["breakdown"])
            let key = breakdown["api_keys"]?[Wire.hash(secret)]
            #expect(key?["metrics"]?["total_tokens"]?.number == tokens)
            #expect(key?["metadata"]?["key_alias"]?.string == world.name("key"))
            #expect(key?["metadata"]?["user_id"]?.string == user)
            #expect(key?["metadata"]?["team_id"]?.string == team)
            let byModel = breakdown["models"]?["openai/\(model)"]
            #expect(byModel?["metrics"]?["api_requests"] == 1)
            #expect(byModel?["api_key_breakdown"]?[Wire.hash(secret)]?["metrics"]?["api_requests"] == 1)
            #expect(breakdown["model_groups"]?[model]?["metrics"]?["api_requests"] == 1)
            #expect(breakdown["providers"]?["openai"]?["metrics"]?["api_requests"] == 1)
            #expect(breakdown["endpoints"]?["/chat/completions"]?["metrics"]?["api_requests"] == 1)
            #expect(breakdown["entities"]?[user]?["metrics"]?["api_requests"] == 1)
            let metadata = answer.json["metadata"]
            #expect(metadata?["page"] == 1)
            #expect(metadata?["total_pages"] == 1)
            #expect(metadata?["has_more"] == false)
            #expect(metadata?["total_tokens"]?.number == tokens)
        }

        private func checkSpend(_ world: World, secret: String, user: String, team: String, cost: Double) async throws {
            func near(_ spend: JSON?) -> Bool { abs((spend?.number ?? 0) - cost) < 1e-9 }
            try await eventually { near(try await world.info(secret)["spend"]) ? () : nil }
            try await eventually {
                near(try await world.wire.get("/user/info", ["user_id": user]).json["user_info"]?["spend"]) ? () : nil
            }
            try await eventually {
                near(try await world.wire.get("/team/info", ["team_id": team]).json["team_info"]?["spend"]) ? () : nil
            }
        }

        @Test(arguments: Target.all)
        func `pages are pages of table rows`(_ target: Target) async throws {
            try await World.on(target) { world in
                let user = try await world.makeUser()
                let secret = try await world.makeKey(["user_id": .string(user)])
                for what in ["one", "two", "three"] {
                    #expect(try await world.chat(secret, try await world.makeModel(what)).status == 200)
                }
                let days = days
                func page(_ number: Int) async throws -> WireAnswer {
                    try await world.wire.get(
                        "/user/daily/activity",
                        [
                            "start_date": days.from, "end_date": days.until, "user_id": user, "page_size": "2",
                            "page": "\(number)",
                        ])
                }
                let first = try await eventually { () -> WireAnswer? in
                    let last = try await page(2)
                    return last.json["metadata"]?["total_api_requests"] == 1 ? try await page(1) : nil
                }
                #expect(first.json["metadata"]?["total_pages"] == 2)
                #expect(first.json["metadata"]?["has_more"] == true)
                #expect(first.json["metadata"]?["total_api_requests"] == 2)
            }
        }

        @Test(arguments: Target.all)
        func `activity can be asked for by a deployment's model, and by no public name`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel("one")
                _ = try await world.makeModel("two", provider: "anthropic", of: model)
                let secret = try await world.makeKey()
                let days = days
                func activity(_ model: String?) async throws -> JSON {
                    try await world.wire.get(
                        "/user/daily/activity",
                        [
                            "start_date": days.from, "end_date": days.until, "api_key": Wire.hash(secret),
                            "model": model ?? "",
                        ]
                    ).json
                }
                // Which deployment answers is LiteLLM's choice each time.
                let answer = try await eventually { () -> JSON? in
                    #expect(try await world.chat(secret, model).status == 200)
                    let answer = try await activity(nil)
                    return answer["results"]?[0]?["breakdown"]?["providers"]?.members.count == 2 ? answer : nil
                }
                let models = try #require(answer["results"]?[0]?["breakdown"]?["models"]?.members)
                #expect(Set(models.keys) == ["openai/\(model)", "anthropic/\(model)"])
                for provider in ["openai", "anthropic"] {
                    let part = try await activity("\(provider)/\(model)")["results"]?[0]?["breakdown"]
                    #expect(part?["providers"].map { Array($0.members.keys) } == [provider])
                    #expect(part?["model_groups"].map { Array($0.members.keys) } == [model])
                    #expect(part?["providers"]?[provider]?["api_key_breakdown"]?[Wire.hash(secret)] != nil)
                }
                #expect(try await activity(model)["results"] == [])
            }
        }

        @Test(arguments: Target.all)
        func `a call that was refused counts as failed`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel()
                let secret = try await world.makeKey(["models": ["some-other-model"]])
                #expect(try await world.chat(secret, model).status == 403)
                let days = days
                let answer = try await eventually { () -> WireAnswer? in
                    let answer = try await world.wire.get(
                        "/user/daily/activity",
                        ["start_date": days.from, "end_date": days.until, "api_key": Wire.hash(secret)])
                    return answer.json["results"]?.elements.isEmpty == false ? answer : nil
                }
                #expect(answer.json["metadata"]?["total_failed_requests"] == 1)
                #expect(answer.json["metadata"]?["total_successful_requests"] == 0)
                #expect(answer.json["metadata"]?["total_spend"] == 0)
            }
        }

        @Test(arguments: Target.all)
        func `the spend log has a row for the chat`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel()
                let user = try await world.makeUser()
                let secret = try await world.makeKey(["user_id": .string(user)])
                let chat = try await world.chat(secret, model)
                let days = days
                let answer = try await eventually { () -> WireAnswer? in
                    let answer = try await world.wire.get(
                        "/spend/logs/v2",
                        [
                            "start_date": "\(days.from) 00:00:00", "end_date": "\(days.until) 23:59:59",
                            "user_id": user,
                        ])
                    return answer.json["total"] == 1 ? answer : nil
                }
                let row = try #require(answer.json["data"]?[0])
                #expect(row["request_id"] == chat.json["id"])
                #expect(row["api_key"]?.string == Wire.hash(secret))
                #expect(row["model_group"]?.string == model)
                #expect(row["user"]?.string == user)
                #expect(row["status"] == "success")
                #expect(row["total_tokens"] == chat.json["usage"]?["total_tokens"])
                #expect(try await world.wire.get("/spend/logs/v2").status == 400)
            }
        }

        @Test(arguments: Target.all)
        func `days must be given, and be days`(_ target: Target) async throws {
            try await World.on(target) { world in
                let missing = try await world.wire.get("/user/daily/activity")
                #expect(missing.status == 400)
                #expect(missing.detail == "Please provide start_date and end_date")
                let wrong = try await world.wire.get(
                    "/user/daily/activity", ["start_date": "yesterday", "end_date": "2026-01-01"])
                #expect(wrong.status == 400)
                #expect(wrong.detail == "start_date and end_date must be valid YYYY-MM-DD dates")
            }
        }

        @Test(arguments: Target.all)
        func `days without usage are an empty list`(_ target: Target) async throws {
            try await World.on(target) { world in
                let answer = try await world.wire.get(
                    "/user/daily/activity", ["start_date": "2020-01-01", "end_date": "2020-01-02"])
                #expect(answer.status == 200)
                #expect(answer.json["results"] == [])
                #expect(answer.json["metadata"]?["total_spend"] == 0)
                #expect(answer.json["metadata"]?["total_tokens"] == 0)
                #expect(answer.json["metadata"]?["total_pages"] == 0)
                #expect(answer.json["metadata"]?["has_more"] == false)
            }
        }
    }
}
