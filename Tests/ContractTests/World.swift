import Foundation
import Synchronization
import Testing

/// One check's corner of a LiteLLM: names nobody else uses, and everything made under them deleted at the end.
final class World: Sendable {
    /// Distinguishes this run from all others on the same LiteLLM.
    private static let run = String(UUID().uuidString.lowercased().prefix(8))
    private static let counter = Atomic(0)

    private struct Made {
        var secrets: Set<String> = []
        var users: Set<String> = []
        var teams: Set<String> = []
        var models: Set<String> = []
    }

    let wire: Wire
    private let made = Mutex(Made())
    private let number: Int

    private init(_ wire: Wire) {
        self.wire = wire
        number = Self.counter.add(1, ordering: .relaxed).newValue
    }

    /// Runs a check on `target` and cleans up after it.
    static func on(_ target: Target, _ body: (World) async throws -> Void) async throws {
        let world = World(try target.wire)
        do {
            try await body(world)
        } catch {
            try await world.cleanUp()
            throw error
        }
        try await world.cleanUp()
    }

    /// A name nothing has yet.
    func name(_ what: String) -> String { "ct-\(Self.run)-\(number)-\(what)" }

    /// A secret nothing has yet; the key that gets it is deleted at the end.
    func secret(_ what: String = "key") -> String {
        let secret = "sk-\(name(what))-0123456789"
        made.withLock { _ = $0.secrets.insert(secret) }
        return secret
    }

    /// A user id; the user is deleted at the end if it is there.
    func user(_ what: String = "user") -> String {
        let id = name(what)
        made.withLock { _ = $0.users.insert(id) }
        return id
    }

    /// A team id; the team is deleted at the end if it is there.
    func team(_ what: String = "team") -> String {
        let id = name(what)
        made.withLock { _ = $0.teams.insert(id) }
        return id
    }

    /// A model id; the model is deleted at the end if it is there.
    func model(_ what: String = "model") -> String {
        let id = name(what)
        made.withLock { _ = $0.models.insert(id) }
        return id
    }

    /// Makes a key and gives its secret.
    func makeKey(_ fields: [String: JSON] = [:], _ what: String = "key") async throws -> String {
        let secret = secret(what)
        let fields = fields.merging(["key": .string(secret), "key_alias": .string(name(what))]) { given, _ in given }
        let answer = try await wire.post("/key/generate", .object(fields))
        #expect(answer.status == 200, "\(answer)")
        return secret
    }

    /// Makes a user and gives its id.
    func makeUser(_ fields: [String: JSON] = [:], _ what: String = "user") async throws -> String {
        let id = user(what)
        let fields = fields.merging(["user_id": .string(id), "auto_create_key": false]) { given, _ in given }
        let answer = try await wire.post("/user/new", .object(fields))
        #expect(answer.status == 200, "\(answer)")
        return id
    }

    /// Makes a team and gives its id.
    func makeTeam(_ fields: [String: JSON] = [:], _ what: String = "team") async throws -> String {
        let id = team(what)
        let answer = try await wire.post("/team/new", .object(fields.merging(["team_id": .string(id)]) { $1 }))
        #expect(answer.status == 200, "\(answer)")
        return id
    }

    /// Makes a model that answers by itself, and gives its public name; `input` and `output` are prices per token.
    ///
    /// - Parameters:
    ///   - provider: that LiteLLM takes for it.
    ///   - name: the public name of a model that gets one more deployment; nil for a new model.
    func makeModel(
        input: Double = 0.001, output: Double = 0.002, _ what: String = "model", provider: String = "openai",
        of name: String? = nil
    ) async throws -> String {
        let id = model(what)
        let name = name ?? "\(id)-name"
        let answer = try await wire.post(
            "/model/new",
            [
                "model_name": .string(name),
                "litellm_params": [
                    "model": .string("\(provider)/\(name)"), "api_key": "sk-not-used", "mock_response": "Hello.",
                    "input_cost_per_token": .number(input), "output_cost_per_token": .number(output),
                ],
                "model_info": ["id": .string(id), "mode": "chat"],
            ])
        #expect(answer.status == 200, "\(answer)")
        return name
    }

    /// The `info` of a key.
    func info(_ secret: String) async throws -> JSON {
        let answer = try await wire.get("/key/info", ["key": Wire.hash(secret)])
        #expect(answer.status == 200, "\(answer)")
        return answer.json["info"] ?? .null
    }

    /// Sends a chat with `key`.
    func chat(_ key: String, _ model: String, _ more: [String: JSON] = [:]) async throws -> WireAnswer {
        let body: [String: JSON] = [
            "model": .string(model), "messages": [["role": "user", "content": "hi"]],
        ]
        return try await wire.send("POST", "/chat/completions", .object(body.merging(more) { $1 }), key: key)
    }

    private func cleanUp() async throws {
        let made = made.withLock { $0 }
        if !made.secrets.isEmpty {
            let hashes = made.secrets.map { JSON.string(Wire.hash($0)) }
            _ = try await wire.post("/key/delete", ["keys": .array(hashes)])
        }
        for team in made.teams { _ = try await wire.post("/team/delete", ["team_ids": [.string(team)]]) }
        for user in made.users { _ = try await wire.post("/user/delete", ["user_ids": [.string(user)]]) }
        for model in made.models { _ = try await wire.post("/model/delete", ["id": .string(model)]) }
    }
}
