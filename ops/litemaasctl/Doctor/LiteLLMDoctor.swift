import Logging
import Shared

/// Whether LiteLLM answers, and with our key.
struct LiteLLMDoctor: Sendable {
    private static let check = "litellm"

    let configuration: AppConfiguration
    let limit: Duration

    func look() async -> [Finding] {
        let logger = Logger(label: "litemaasctl") { _ in SwiftLogNoOpLogHandler() }
        let transport = CurlTransport(settings: configuration.http, logger: logger)
        var settings = configuration.litellm
        settings.timeout = limit
        settings.connectTimeout = min(settings.connectTimeout, limit)
        let finding = await look(LiteLLMClient(transport: transport, settings: settings), at: settings)
        await transport.shutdown()
        return [finding]
    }

    private func look(_ client: LiteLLMClient, at settings: LiteLLMSettings) async -> Finding {
        do {
            try await client.liveness()
        } catch {
            return .bad(
                Self.check, "LiteLLM does not answer at \(settings.baseURL): \(words(error)).",
                fix: "Start it, or correct LITELLM_API_URL. Intents are kept until it answers.")
        }
        guard !settings.apiKey.reveal().isEmpty else {
            return .ok(
                Self.check, "It answers at \(settings.baseURL); the key was not tried (no LITELLM_API_KEY here).")
        }
        do {
            try await client.probe()
            return .ok(Self.check, "It answers at \(settings.baseURL), with its database and our key.")
        } catch {
            return .bad(
                Self.check, "LiteLLM at \(settings.baseURL) is up but refuses our calls: \(words(error)).",
                fix: "Check LITELLM_API_KEY (the master key) and LiteLLM's database.")
        }
    }

    private func words(_ error: any Error) -> String {
        (error as? LiteLLMError).map { "\($0.code): \($0.message)" } ?? "\(error)"
    }
}
