import Shared

/// A provider and what its models can do.
struct ProviderView: JSONRepresentable {
    let name: String
    let offers: [ModelOffer]

    private static let names = [
        "anthropic": "Anthropic", "azure": "Azure OpenAI", "bedrock": "Amazon Bedrock", "cohere": "Cohere",
        "docling": "Docling", "gemini": "Google Gemini", "groq": "Groq", "hosted_vllm": "vLLM",
        "huggingface": "Hugging Face", "ibm": "IBM", "mistral": "Mistral AI", "ollama": "Ollama", "openai": "OpenAI",
        "openrouter": "OpenRouter", "vertex_ai": "Google Vertex AI", "vllm": "vLLM", "watsonx": "IBM watsonx",
    ]

    /// By name.
    static func all(_ offers: [ModelOffer]) -> [ProviderView] {
        Dictionary(grouping: offers, by: \.provider).sorted { $0.key < $1.key }
            .map { ProviderView(name: $0.key, offers: $0.value) }
    }

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("name", name)
            json.member("displayName", Self.names[name] ?? titled(name))
            json.member("modelCount", offers.reduce(0) { $0 + $1.count })
            json.member("capabilities", Set(offers.flatMap(\.features)).sorted())
        }
    }
}

/// Something that models can do.
struct CapabilityView: JSONRepresentable {
    let name: String
    let modelCount: Int

    private static let texts = [
        "chat": ("Chat", "Answers in conversations."),
        "convert": ("Document conversion", "Turns documents into text."),
        "embeddings": ("Embeddings", "Turns text into vectors."),
        "function_calling": ("Function calling", "Calls functions that the caller describes."),
        "parallel_function_calling": ("Parallel function calling", "Calls several functions at once."),
        "tokenize": ("Tokenisation", "Counts the tokens of a text."),
        "tool_choice": ("Tool choice", "Lets the caller choose the function."),
        "vision": ("Vision", "Takes images."),
    ]

    /// By name.
    static func all(_ offers: [ModelOffer]) -> [CapabilityView] {
        var counts: [String: Int] = [:]
        for offer in offers {
            for feature in offer.features { counts[feature, default: 0] += offer.count }
        }
        return counts.sorted { $0.key < $1.key }.map { CapabilityView(name: $0.key, modelCount: $0.value) }
    }

    func write(to json: inout JSONWriter) {
        let (title, text) = Self.texts[name] ?? (titled(name), "")
        json.object { json in
            json.member("name", name)
            json.member("displayName", title)
            json.member("description", text)
            json.member("modelCount", modelCount)
        }
    }
}

/// `my_name` as `My Name`.
private func titled(_ name: String) -> String {
    name.split(whereSeparator: { "_-".contains($0) }).map { $0.prefix(1).uppercased() + $0.dropFirst() }
        .joined(separator: " ")
}
