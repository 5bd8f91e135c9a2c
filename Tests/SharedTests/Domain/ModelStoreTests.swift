import Foundation
import Shared
import TestSupport
import Testing

@Suite(.needsDatabase) struct ModelStoreTests {
    private let models = PostgresModelStore()

    private func list(_ client: PostgresClient, _ change: (inout ModelFilter) -> Void) async throws -> Page<Model> {
        var filter = ModelFilter()
        change(&filter)
        return try await models.list(filter, in: client)
    }

    @Test func listsWhatTheFilterLetsThrough() async throws {
        try await withTestDatabase { test in
            try await test.client.withTransaction { transaction in
                try await models.upsert(
                    [
                        ModelDescription(id: "gpt-4o", provider: "openai", features: ["chat", "vision"]),
                        ModelDescription(id: "embed", provider: "openai", features: ["embeddings"]),
                        ModelDescription(id: "gemini/pro", provider: "google", features: ["chat"]),
                    ], in: transaction)
            }
            try await test.client.query("update models set description = 'Sees 100% of it' where id = 'gpt-4o'")
            try await test.client.query("update models set availability = 'unavailable' where id = 'embed'")
            #expect(try await list(test.client) { _ in }.items.map(\.id) == ["gemini/pro", "embed", "gpt-4o"])
            #expect(try await list(test.client) { $0.availability = .available }.total == 2)
            #expect(try await list(test.client) { $0.provider = "openai" }.items.map(\.id) == ["embed", "gpt-4o"])
            #expect(try await list(test.client) { $0.capability = "chat" }.items.map(\.id) == ["gemini/pro", "gpt-4o"])
            #expect(try await list(test.client) { $0.search = "GPT" }.items.map(\.id) == ["gpt-4o"])
            // No pattern characters.
            #expect(try await list(test.client) { $0.search = "100%" }.items.map(\.id) == ["gpt-4o"])
            #expect(try await list(test.client) { $0.search = "%" }.total == 1)
            #expect(try await list(test.client) { $0.search = "g_t" }.total == 0)
            let page = try await list(test.client) { $0.page = PageRequest(number: 2, size: 2) }
            #expect(page.items.map(\.id) == ["gpt-4o"])
            #expect(page.total == 3)
            #expect(
                try await models.find(["gpt-4o", "none", "embed"], in: test.client).map(\.id) == ["embed", "gpt-4o"])
        }
    }

    @Test func keepsPricesExactly() async throws {
        try await withTestDatabase { test in
            let price = Decimal(string: "0.000000000000001")
            let description = ModelDescription(
                id: "m", provider: "p", backendModelName: "b", apiBase: "u", contextLength: 1, maxTokens: 2,
                inputCostPerToken: price, outputCostPerToken: Decimal(string: "999999999.5"), tpm: 3, rpm: 4,
                supportsVision: true, supportsFunctionCalling: true, supportsParallelFunctionCalling: true,
                supportsToolChoice: true, features: ["chat"])
            try await test.client.withTransaction { try await models.upsert([description], in: $0) }
            #expect(try await models.find("m", in: test.client)?.model == description)
        }
    }

    @Test func aPageRequestNeverOverflows() {
        #expect(PageRequest(number: 0, size: 0) == PageRequest(number: 1, size: 1))
        #expect(PageRequest(number: 3, size: 20).offset == 40)
        #expect(PageRequest(number: .max, size: 100).offset == .max)
    }
}
