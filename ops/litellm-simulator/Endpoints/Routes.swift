import HTTPTypes

/// One endpoint: how it is found, who may call it, what its body is, and what it does to the state.
struct Route: Sendable {
    enum Access: Sendable {
        /// No key is asked for.
        case open
        /// Any valid key.
        case key
        /// The master key, or a key whose user exists.
        case userKey
        /// The master key, or the key of a user with an admin's role.
        case admin
        /// The same, refused with another answer.
        case modelAdmin
    }

    enum Body: Sendable {
        case none
        /// A JSON object with these members.
        case json(Schema)
        /// An OpenAI request: any JSON object; what is wrong with it is said in OpenAI's way.
        case inference
    }

    typealias Handler = @Sendable (inout State, Question) throws(Refusal) -> Answer

    let method: String
    /// The parts of the path; one in braces stands for any text and names it.
    let path: [Substring]
    let access: Access
    let body: Body
    let handler: Handler

    init(_ method: String, _ path: String, _ access: Access, _ body: Body, _ handler: @escaping Handler) {
        self.method = method
        self.path = path.split(separator: "/")
        self.access = access
        self.body = body
        self.handler = handler
    }

    /// The variables of the path when it matches, else nil.
    func variables(in parts: [Substring]) -> [String: String]? {
        guard parts.count == path.count else { return nil }
        var variables: [String: String] = [:]
        for (pattern, part) in zip(path, parts) {
            if pattern.hasPrefix("{") {
                variables[String(pattern.dropFirst().dropLast())] = String(part)
            } else if pattern != part {
                return nil
            }
        }
        return variables
    }
}

/// All endpoints of the simulator.
enum Routes {
    static let all = keys + users + teams + models + inference + reports + health

    private static let keys = [
        Route("POST", "/key/generate", .userKey, .json(Schemas.keyGenerate), KeyMaking.generate),
        Route("GET", "/key/info", .key, .none, Keys.info),
        Route("GET", "/key/list", .key, .none, KeyLists.list),
        Route("GET", "/key/aliases", .admin, .none, KeyLists.aliases),
        Route("POST", "/key/update", .admin, .json(Schemas.keyUpdate), Keys.update),
        Route("POST", "/key/block", .admin, .json(Schemas.keyName), Keys.block),
        Route("POST", "/key/unblock", .admin, .json(Schemas.keyName), Keys.unblock),
        Route("POST", "/key/delete", .admin, .json(Schemas.keyDelete), Keys.delete),
        Route("POST", "/key/{key}/reset_spend", .admin, .json(Schemas.resetSpend), Keys.resetSpend),
    ]

    private static let users = [
        Route("POST", "/user/new", .admin, .json(Schemas.userNew), Users.new),
        Route("GET", "/user/info", .key, .none, Users.info),
        Route("GET", "/user/list", .key, .none, UserLists.list),
        Route("POST", "/user/update", .admin, .json(Schemas.userFields), Users.update),
        Route("POST", "/user/delete", .admin, .json(Schemas.userDelete), Users.delete),
    ]

    private static let teams = [
        Route("POST", "/team/new", .admin, .json(Schemas.teamNew), Teams.new),
        Route("GET", "/team/info", .key, .none, Teams.info),
        Route("GET", "/team/list", .key, .none, TeamLists.list),
        Route("GET", "/v2/team/list", .key, .none, TeamLists.pages),
        Route("POST", "/team/update", .admin, .json(Schemas.teamUpdate), Teams.update),
        Route("POST", "/team/delete", .admin, .json(Schemas.teamDelete), Teams.delete),
        Route("POST", "/team/block", .admin, .json(Schemas.teamName), Teams.block),
        Route("POST", "/team/unblock", .admin, .json(Schemas.teamName), Teams.unblock),
        Route("POST", "/team/model/add", .admin, .json(Schemas.teamModels), Teams.addModels),
        Route("POST", "/team/model/delete", .admin, .json(Schemas.teamModels), Teams.removeModels),
        Route("POST", "/team/member_add", .admin, .json(Schemas.memberAdd), TeamMembers.add),
        Route("POST", "/team/member_update", .admin, .json(Schemas.memberUpdate), TeamMembers.update),
        Route("POST", "/team/member_delete", .admin, .json(Schemas.memberDelete), TeamMembers.delete),
    ]

    private static let models = [
        Route("GET", "/models", .key, .none, Models.names),
        Route("GET", "/v1/models", .key, .none, Models.names),
        Route("GET", "/model/info", .key, .none, Models.info),
        Route("GET", "/v1/model/info", .key, .none, Models.info),
        Route("GET", "/v2/model/info", .key, .none, Models.pages),
        Route("GET", "/model_group/info", .key, .none, Models.groups),
        Route("POST", "/model/new", .modelAdmin, .json(Schemas.model), Models.new),
        Route("POST", "/model/update", .modelAdmin, .json(Schemas.model), Models.update),
        Route("PATCH", "/model/{id}/update", .modelAdmin, .json(Schemas.model), Models.patch),
        Route("POST", "/model/delete", .modelAdmin, .json(Schemas.modelDelete), Models.delete),
    ]

    private static let inference = ["", "/v1"].flatMap { prefix in
        [
            Route("POST", "\(prefix)/chat/completions", .key, .inference, Inference.chat),
            Route("POST", "\(prefix)/embeddings", .key, .inference, Inference.embeddings),
        ]
    }

    private static let reports = [
        Route("GET", "/user/daily/activity", .key, .none, Activity.daily),
        Route("GET", "/user/daily/activity/aggregated", .key, .none, Activity.aggregated),
        Route("GET", "/spend/logs/v2", .admin, .none, SpendLogs.pages),
    ]

    private static let health = [
        Route("GET", "/health", .key, .none, Health.models),
        Route("GET", "/health/liveliness", .open, .none, Health.alive),
        Route("GET", "/health/liveness", .open, .none, Health.alive),
        Route("GET", "/health/readiness", .open, .none, Health.ready),
        Route("GET", "/health/readiness/details", .key, .none, Health.details),
    ]

    /// The route of a request and the variables of its path.
    ///
    /// - Throws: 404 for an unknown path, 405 for a known one with another method.
    static func find(method: String, path: String) throws(Refusal) -> (Route, [String: String]) {
        let parts = path.split(separator: "/")
        var allowed: [String] = []
        for route in all {
            guard let variables = route.variables(in: parts) else { continue }
            if route.method == method { return (route, variables) }
            allowed.append(route.method)
        }
        guard !allowed.isEmpty else { throw .bareDetail(404, "Not Found") }
        throw .bareDetail(405, "Method Not Allowed", headers: [("allow", allowed.joined(separator: ", "))])
    }
}
