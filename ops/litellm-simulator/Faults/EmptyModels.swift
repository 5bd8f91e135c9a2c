/// What model lists say when LiteLLM has no models.
enum EmptyModels {
    private static let lists: Set<String> = [
        "/models", "/v1/models", "/model/info", "/v1/model/info", "/v2/model/info", "/model_group/info",
    ]

    /// `answer` without its models; as it is when `call` asks for no list of models.
    static func emptied(_ answer: Answer, of call: Call) -> Answer {
        guard lists.contains(call.path), answer.status == 200, let json = JSON(parsing: answer.body),
            var members = json.members
        else { return answer }
        members["data"] = []
        if members["total_count"] != nil {
            members["total_count"] = 0
            members["total_pages"] = 0
        }
        return Answer(.object(members), headers: answer.headers)
    }
}
