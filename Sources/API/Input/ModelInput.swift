import Foundation
import Jobs
import Shared

/// The names of LiteLLM's models in paths and bodies, and what administrators send about them.
enum ModelInput {
    /// Names that mean several models to LiteLLM: a key for one would be a key for all.
    private static let reserved: Set<String> = ["all-proxy-models", "all-team-models", "no-default-models"]
    private static let parameters = 1...1_000_000_000_000
    private static let capabilities = [
        "vision", "function_calling", "parallel_function_calling", "tool_choice", "embeddings", "tokenize", "convert",
    ]
    private static let required: Set<String> = [
        "vision", "function_calling", "parallel_function_calling", "tool_choice",
    ]

    /// Reads a new model.
    static func newModel(_ body: JSONBody) throws(APIError) -> NewModel {
        var fields = body.fields
        let name = fields.requiredString("model_name", length: 1...255)
        if name.contains("*") || reserved.contains(name) {
            fields.refuse("model_name", .invalid, "must not be a name that means several models to LiteLLM")
        }
        checkName(name, "model_name", &fields)
        let backend = fields.requiredString("backend_model_name", length: 1...255)
        checkName(backend, "backend_model_name", &fields)
        var parameters = parameters(&fields)
        let needed = ["api_base", "input_cost_per_token", "output_cost_per_token", "tpm", "rpm", "max_tokens"]
        for field in needed + required.map({ "supports_\($0)" }).sorted() where !fields.has(field) {
            fields.refuse(field, .required, "is required")
        }
        for capability in capabilities where parameters.capabilities[capability] == nil {
            parameters.capabilities[capability] = false
        }
        let request = NewModel(
            modelId: name, backendModelName: backend, parameters: parameters,
            description: fields.text("description", length: 0...2000),
            restrictedAccess: fields.bool("restrictedAccess") ?? false, apiKey: key(&fields))
        try fields.check()
        return request
    }

    /// Reads a change of the model `id`.
    static func change(_ body: JSONBody, of id: String) throws(APIError) -> ModelChange {
        var fields = body.fields
        var change = ModelChange()
        if let name = fields.string("model_name", length: 1...255), name != id {
            fields.refuse("model_name", .invalid, "cannot be changed: keys and subscriptions name the model by it")
        }
        change.backendModelName = fields.string("backend_model_name", length: 1...255)
        checkName(change.backendModelName ?? "", "backend_model_name", &fields)
        change.description = body.change("description", to: fields.text("description", length: 0...2000))
        change.restrictedAccess = fields.bool("restrictedAccess")
        change.apiKey = key(&fields)
        change.parameters = parameters(&fields)
        try fields.check()
        guard change.reachesLiteLLM || change.description != .keep || change.restrictedAccess != nil else {
            throw APIError.validation("body", .required, "must name at least one field of the model")
        }
        return change
    }

    /// The base URL of an endpoint; nil when there is none.
    static func base(_ fields: inout Fields) -> String? {
        guard let text = fields.string("api_base", length: 1...2000) else { return nil }
        guard let url = URLComponents(string: text), ["http", "https"].contains(url.scheme?.lowercased()),
            let host = url.host, !host.isEmpty, url.user == nil, url.password == nil, url.query == nil,
            url.fragment == nil
        else {
            fields.refuse(
                "api_base", .format,
                "must be an http or https URL such as https://host/v1, without user, query and fragment")
            return nil
        }
        return text
    }

    /// The provider's key; nil when there is none.
    static func key(_ fields: inout Fields) -> Secret? {
        guard let text = fields.text("api_key", length: 0...4000) else { return nil }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            fields.refuse("api_key", .format, "must be printable ASCII without spaces")
            return nil
        }
        return Secret(text)
    }

    private static func parameters(_ fields: inout Fields) -> ModelParameters {
        var wanted = ModelParameters()
        wanted.apiBase = base(&fields)
        wanted.inputCostPerToken = price("input_cost_per_token", &fields)
        wanted.outputCostPerToken = price("output_cost_per_token", &fields)
        wanted.tpm = fields.int("tpm", in: parameters)
        wanted.rpm = fields.int("rpm", in: parameters)
        wanted.maxTokens = fields.int("max_tokens", in: 1...Int(Int32.max))
        for capability in capabilities {
            wanted.capabilities[capability] = fields.bool("supports_\(capability)")
        }
        return wanted
    }

    private static func price(_ name: String, _ fields: inout Fields) -> Decimal? {
        guard let amount = fields.amount(name, in: 0...999_999) else { return nil }
        guard amount.exponent >= -15 else {
            fields.refuse(name, .range, "must have at most 15 decimals")
            return nil
        }
        return amount
    }

    private static func checkName(_ name: String, _ field: String, _ fields: inout Fields) {
        if name != name.trimmingCharacters(in: .whitespaces) || name.unicodeScalars.contains(where: { $0.value < 0x20 })
        {
            fields.refuse(field, .format, "must not begin or end with a space or hold control characters")
        }
    }
}
