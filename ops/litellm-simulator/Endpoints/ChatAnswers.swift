/// The bodies of successful inference calls, in OpenAI's shapes.
enum ChatAnswers {
    /// A whole completion, or with `stream` a stream of chunks of three characters.
    static func answer(to body: JSONObject, _ usage: Inference.Usage, at now: Moment, id: String) -> Answer {
        let name = usage.model.name
        let reply = usage.model.parameters["mock_response"]?.string ?? "This is \(name)."
        let head: JSONObject = ["id": .string(id), "created": .integer(now.seconds), "model": .string(name)]
        guard body["stream"]?.boolean == true else {
            let choice: JSON = [
                "finish_reason": "stop", "index": 0, "message": ["role": "assistant", "content": .string(reply)],
            ]
            let tokens = tokens(prompt: usage.prompt, completion: usage.completion)
            return Answer(
                .object(head.merged(with: ["object": "chat.completion", "choices": [choice], "usage": tokens])))
        }
        return stream(reply, head: head.merged(with: ["object": "chat.completion.chunk"]))
    }

    private static func stream(_ reply: String, head: JSONObject) -> Answer {
        var events: [JSON] = []
        var rest = Substring(reply)
        while !rest.isEmpty {
            var delta: JSONObject = ["content": .string(String(rest.prefix(3)))]
            if events.isEmpty { delta["role"] = "assistant" }
            events.append(["index": 0, "delta": .object(delta)])
            rest = rest.dropFirst(3)
        }
        events.append(["index": 0, "delta": [:], "finish_reason": "stop"])
        let lines = events.map { JSON.object(head.merged(with: ["choices": [$0]])).text } + ["[DONE]"]
        let text = lines.map { "data: \($0)\n\n" }.joined()
        return Answer(status: 200, contentType: "text/event-stream; charset=utf-8", body: Array(text.utf8))
    }

    /// One vector, whatever the input: LiteLLM does the same for a mocked model.
    static func embedding(_ usage: Inference.Usage) -> Answer {
        let vector = usage.model.parameters["mock_response"] ?? [0.1, 0.2, 0.3]
        return Answer([
            "model": .string(usage.model.name), "object": "list",
            "data": [["embedding": vector, "index": 0, "object": "embedding"]],
            "usage": tokens(prompt: usage.prompt, completion: 0),
        ])
    }

    private static func tokens(prompt: Int, completion: Int) -> JSON {
        [
            "prompt_tokens": .integer(prompt), "completion_tokens": .integer(completion),
            "total_tokens": .integer(prompt + completion),
        ]
    }
}
