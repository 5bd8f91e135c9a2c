/// An error of LiteLLM in one of the envelopes it uses. Only the status can be relied upon: types and codes are
/// what LiteLLM happens to send.
struct Refusal: Error {
    var answer: Answer

    /// The common envelope: `{"error": {"message", "type", "param", "code"}}` with the status as text.
    static func error(
        _ status: Int, _ message: String, type: String = "internal_server_error", param: JSON = nil,
        headers: [(name: String, value: String)] = []
    ) -> Refusal {
        let error: JSONObject = [
            "message": .string(message), "type": .string(type), "param": param, "code": .string(String(status)),
        ]
        return Refusal(answer: Answer(["error": .object(error)], status: status, headers: headers))
    }

    /// The common envelope around the text of a Python dictionary, `{'error': '...'}`.
    static func dictionary(
        _ status: Int, _ message: String, type: String = "internal_server_error", param: JSON = nil
    ) -> Refusal {
        let quote = message.contains("'") ? "\"" : "'"
        return error(status, "{'error': \(quote)\(message)\(quote)}", type: type, param: param)
    }

    /// The web framework's envelope: `{"detail": {"error": "..."}}`.
    static func detail(_ status: Int, _ message: String) -> Refusal {
        Refusal(answer: Answer(["detail": ["error": .string(message)]], status: status))
    }

    /// The web framework's envelope with a bare text: `{"detail": "..."}`.
    static func bareDetail(_ status: Int, _ message: String, headers: [(name: String, value: String)] = []) -> Refusal {
        Refusal(answer: Answer(["detail": .string(message)], status: status, headers: headers))
    }

    /// 422 with one entry per violation.
    static func invalid(_ violations: [Violation]) -> Refusal {
        Refusal(answer: Answer(["detail": .array(violations.map(\.json))], status: 422))
    }

    /// 422 for a rule about the body as a whole.
    static func invalidBody(_ message: String) -> Refusal {
        invalid([Violation(type: "value_error", location: ["body"], message: "Value error, \(message)")])
    }

    /// The answer to an error nobody caught.
    static let uncaught = Refusal(
        answer: Answer(
            ["error": ["message": "Internal server error", "type": "internal_server_error"]], status: 500))

    /// The answer of a feature that needs LiteLLM's licence.
    static func enterprise(_ status: Int, feature: String) -> Refusal {
        dictionary(
            status,
            "This feature is only available for LiteLLM Enterprise users: \(feature). \(Self.needsLicence)"
                .replacing("\n", with: "\\n"))
    }

    /// How every refusal for want of a licence ends.
    static let needsLicence = """
        You must be a LiteLLM Enterprise user to use this feature. If you have a license please set \
        `LITELLM_LICENSE` in your env. Get a 7 day trial key here: https://www.litellm.ai/enterprise#trial. \
        \nPricing: https://www.litellm.ai/#pricing
        """
}

/// One entry of a 422 answer.
struct Violation: Equatable {
    let type: String
    let location: [JSON]
    let message: String

    var json: JSON { ["type": .string(type), "loc": .array(location), "msg": .string(message)] }

    static func missing(_ location: JSON...) -> Violation {
        Violation(type: "missing", location: location, message: "Field required")
    }
}
