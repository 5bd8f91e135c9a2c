import Foundation
import Shared

/// Asks a model's endpoint whether it is there and knows the model, as LiteLLM would reach it. The URL is a caller's, so
/// the connection goes only where the address policy lets it, no redirect is followed, and of the answer nothing but the
/// names of models is passed on.
struct EndpointProbe: Sendable {
    /// What came of it.
    enum Outcome: String, Sendable {
        case modelFound = "model_found"
        case modelNotFound = "model_not_found"
        case endpointReachable = "endpoint_reachable"
        case authError = "auth_error"
        case connectionError = "connection_error"
        case timeout
        case missingStoredKey = "missing_stored_key"
    }

    /// The answer for whoever asked.
    struct Report: JSONRepresentable {
        let outcome: Outcome
        let message: String
        var models: [String] = []

        func write(to json: inout JSONWriter) {
            json.object { json in
                json.member("success", outcome == .modelFound || outcome == .endpointReachable)
                json.member("result", outcome.rawValue)
                json.member("message", message)
                json.member("availableModels", models)
            }
        }
    }

    private static let limits = HTTPLimits(
        totalTimeout: .seconds(10), connectTimeout: .seconds(5), maxResponseBytes: 1 << 20)
    private static let shownModels = 10
    private static let shownCharacters = 255

    let transport: any HTTPTransport
    let policy: AddressPolicy

    /// - Parameters:
    ///   - base: checked to be a plain `http` or `https` URL.
    ///   - converts: whether it is an endpoint that converts documents, which has no list of models.
    func ask(_ base: String, model: String, key: Secret?, converts: Bool) async -> Report {
        var request = HTTPClientRequest(
            url: base.trimmingSuffix("/") + (converts ? "/health" : "/models"),
            headers: [("accept", "application/json")], limits: Self.limits)
        if let key { request.headers.append(("authorization", "Bearer \(key.reveal())")) }
        request.addresses = policy
        do {
            return report(on: try await transport.send(request), model: model, converts: converts)
        } catch let error as HTTPTransportError {
            return Self.report(on: error)
        } catch {
            return Report(outcome: .connectionError, message: "The endpoint could not be asked.")
        }
    }

    private func report(on response: HTTPClientResponse, model: String, converts: Bool) -> Report {
        switch response.status {
        case 200..<300: break
        case 401, 403:
            return Report(outcome: .authError, message: "The endpoint refuses the key (status \(response.status)).")
        case 300..<400:
            return Report(
                outcome: .connectionError,
                message: "The endpoint answers with a redirect (status \(response.status)), which is not followed.")
        default:
            return Report(
                outcome: .connectionError, message: "The endpoint answers with status \(response.status).")
        }
        guard !converts, let names = Self.names(in: response.body) else {
            return Report(
                outcome: .endpointReachable,
                message: converts ? "The endpoint is healthy." : "The endpoint answers, but not with a list of models.")
        }
        let shown = names.prefix(Self.shownModels).map { String($0.prefix(Self.shownCharacters)) }
        guard names.contains(model) else {
            return Report(
                outcome: .modelNotFound, message: "The endpoint does not list this model.", models: shown)
        }
        return Report(outcome: .modelFound, message: "The endpoint lists the model.", models: shown)
    }

    private static func names(in body: [UInt8]) -> [String]? {
        do {
            return try JSONParser.parse(body)["data"]?.arrayValue?.compactMap { $0["id"]?.stringValue }
        } catch {
            // Not JSON: then it is no list.
            return nil
        }
    }

    private static func report(on error: HTTPTransportError) -> Report {
        switch error.code {
        case .timeout: Report(outcome: .timeout, message: "The endpoint did not answer within 10 seconds.")
        case .addressRefused:
            Report(
                outcome: .connectionError,
                message: "api_base leads to an address inside the network, which may not be tested. "
                    + "An operator can let it in with MODEL_TEST_ALLOWED_NETWORKS.")
        case .dns: Report(outcome: .connectionError, message: "The endpoint's name cannot be resolved.")
        case .connect(let refused):
            Report(
                outcome: .connectionError,
                message: refused ? "Nothing listens at the endpoint." : "The endpoint cannot be reached.")
        case .tls: Report(outcome: .connectionError, message: "The endpoint's certificate is not accepted.")
        case .tooLarge: Report(outcome: .connectionError, message: "The endpoint's answer is larger than 1 MB.")
        case .overloaded:
            Report(outcome: .connectionError, message: "Too many endpoints are being tried now; try again.")
        case .aborted, .protocolViolation, .cancelled, .invalidRequest, .closed:
            Report(outcome: .connectionError, message: "The endpoint did not answer properly.")
        }
    }
}

extension String {
    /// Without the suffixes, however many.
    func trimmingSuffix(_ suffix: Character) -> String {
        var text = Substring(self)
        while text.last == suffix { text.removeLast() }
        return String(text)
    }
}
