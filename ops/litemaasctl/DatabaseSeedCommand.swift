import ArgumentParser
import Foundation
import Shared

/// `litemaasctl db seed`.
struct DatabaseSeedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seed",
        abstract: "Adds people and models to develop with; what is there already stays as it is.",
        discussion: "The people are those of the mock sign-in, the models those of litellm-simulator.")

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    private struct Report: Encodable {
        var users: [String] = []
        var models: [String] = []
    }

    func run() async throws {
        let report = try await DatabaseOptions.withClient { client, configuration, _ in
            guard configuration.environment != .production else {
                throw CommandFailure(description: "APP_ENV is production: nobody made up belongs into its database.")
            }
            try await Migrator.requireCurrent(client: client, atLeast: SchemaVersion.required)
            return try await client.withTransaction { transaction in
                Report(
                    users: try await Self.addUsers(limits: configuration.users, in: transaction),
                    models: try await Self.addModels(in: transaction))
            }
        }
        if output.json {
            try Console.printJSON(report)
        } else {
            Console.print("Users added: \(report.users.isEmpty ? "none" : report.users.joined(separator: ", ")).")
            Console.print("Models added: \(report.models.isEmpty ? "none" : report.models.joined(separator: ", ")).")
        }
    }

    private static func addUsers(
        limits: NewUserConfiguration, in transaction: PostgresTransaction
    ) async throws -> [String] {
        let store = PostgresUserStore()
        var added: [String] = []
        for person in Demo.people {
            let known = try await store.find(provider: Demo.provider, oauthId: person.oauthId, in: transaction)
            let sameAddress = try await store.find(email: person.email, in: transaction)
            guard known == nil, sameAddress == nil else { continue }
            let user = NewUser(
                id: UUID(), username: person.username, email: person.email, fullName: person.fullName,
                oauthProvider: Demo.provider, oauthId: person.oauthId, roles: person.roles,
                limits: SpendingLimits(
                    maxBudget: Decimal(limits.maxBudget), tpmLimit: limits.tpmLimit, rpmLimit: limits.rpmLimit))
            added.append(try await store.insert(user, in: transaction).username)
        }
        return added
    }

    private static func addModels(in transaction: PostgresTransaction) async throws -> [String] {
        let store = PostgresModelStore()
        let known = Set(try await store.find(Demo.models.map(\.id), in: transaction).map(\.id))
        let new = Demo.models.filter { !known.contains($0.id) }
        if !new.isEmpty { try await store.upsert(new, in: transaction) }
        return new.map(\.id)
    }
}

/// What `db seed` adds.
private enum Demo {
    static let provider = "mock"

    struct Person {
        let oauthId: String
        let username: String
        let email: String
        let fullName: String
        let roles: [Role]
    }

    static let people = [
        Person(
            oauthId: "admin-001", username: "admin", email: "admin@example.com", fullName: "System Administrator",
            roles: [.admin, .user]),
        Person(
            oauthId: "user-001", username: "user", email: "user@example.com", fullName: "Test User", roles: [.user]),
        Person(
            oauthId: "readonly-001", username: "readonly", email: "readonly@example.com", fullName: "Read Only User",
            roles: [.readonly]),
    ]

    static let models = [
        model(
            "mock-gpt-4o", context: 128_000, input: 25, output: 100, features: ["chat", "function_calling", "vision"]),
        model("mock-llama-3-70b", context: 8192, input: 6, output: 8, features: ["chat", "function_calling"]),
        model("mock-free", context: 4096, input: 0, output: 0, features: ["chat"]),
        model("mock-embedding", context: 8192, input: 1, output: 0, features: ["embeddings"]),
    ]

    /// - Parameters:
    ///   - input: money for ten million tokens read; `output`: written.
    private static func model(
        _ id: String, context: Int, input: Int, output: Int, features: [String]
    ) -> ModelDescription {
        ModelDescription(
            id: id, provider: "openai", backendModelName: "openai/\(id)", contextLength: context,
            maxTokens: context, inputCostPerToken: Decimal(input) / 10_000_000,
            outputCostPerToken: Decimal(output) / 10_000_000, supportsVision: features.contains("vision"),
            supportsFunctionCalling: features.contains("function_calling"), features: features.sorted())
    }
}
