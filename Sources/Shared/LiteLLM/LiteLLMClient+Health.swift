import Foundation

/// What LiteLLM says about itself.
package struct LiteLLMReadiness: Sendable, Equatable {
    /// Whether it reaches its database. It remembers a yes for 15 s; a no is fresh.
    package var databaseConnected: Bool
    /// Its release, where it tells.
    package var version: String?
}

extension LiteLLMClient {
    /// Whether LiteLLM is ready; a 503 that says so is an answer too.
    package func readiness() async throws -> LiteLLMReadiness {
        let call = LiteLLMCall.get("/health/readiness", about: .health)
        let outcome = try await outcome(of: call) { try Self.readiness(in: $0.body) }
        switch outcome {
        case .success(let readiness): return readiness
        case .failure(let verdict):
            guard verdict.error.httpStatus == 503, verdict.error.code == LiteLLMError.Code.dbDown else {
                throw try await confirmed(verdict, of: call)
            }
            return LiteLLMReadiness(databaseConnected: false)
        }
    }

    /// Returns if LiteLLM's process answers at all, as JSON or as text, whatever its database does.
    package func liveness() async throws {
        let outcome = try await outcome(of: .get("/health/liveness", about: .health)) { _ in }
        if case .failure(let verdict) = outcome { throw verdict.error }
    }

    /// Returns if LiteLLM answers a call that needs both the master key and its database.
    package func probe() async throws {
        _ = try await perform(.probe, as: KeyCountAnswer.self)
    }

    private static func readiness(in body: [UInt8]) throws -> LiteLLMReadiness {
        let answer = try JSON.decoder.decode(JSONValue.self, from: Data(body))
        guard answer["status"] != nil || answer["db"] != nil else {
            throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "no status"))
        }
        return LiteLLMReadiness(
            databaseConnected: answer["db"]?.stringValue?.lowercased() == "connected",
            version: answer["litellm_version"]?.stringValue)
    }
}

/// Of a page of keys, only that it is one.
struct KeyCountAnswer: Decodable {
    init(from decoder: any Decoder) throws {
        _ = try decoder.container(keyedBy: AnyMember.self).nestedUnkeyedContainer(forKey: "keys")
    }
}
