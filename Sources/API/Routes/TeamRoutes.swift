import Foundation
import Hummingbird
import Jobs
import Shared

/// Teams: people see theirs, a team's admins take members in and out, administrators do everything.
struct TeamRoutes: RouteGroup {
    let database: PostgresClient
    let administration: TeamAdministration
    let changes: Changes
    private let teams = PostgresTeamStore()

    init(database: PostgresClient, administration: TeamAdministration, changes: Changes) {
        self.database = database
        self.administration = administration
        self.changes = changes
    }

    var routes: [Route] {
        [
            .permitted(.teamsRead, .get, "/api/v1/teams", list),
            .permitted(.teamsWrite, .post, "/api/v1/teams", create),
            .permitted(.teamsRead, .get, "/api/v1/teams/{id}", get),
            .permitted(.teamsWrite, .patch, "/api/v1/teams/{id}", update),
            .permitted(.teamsWrite, .delete, "/api/v1/teams/{id}", delete),
            .permitted(.teamsWrite, .post, "/api/v1/teams/{id}/sync", sync),
            .permitted(.teamsRead, .get, "/api/v1/teams/{id}/members", members),
            .permitted(.teamsMembers, .post, "/api/v1/teams/{id}/members", addMember),
            .permitted(.teamsMembers, .patch, "/api/v1/teams/{id}/members/{userId}", setRole),
            .permitted(.teamsMembers, .delete, "/api/v1/teams/{id}/members/{userId}", removeMember),
        ]
    }

    // MARK: Reading

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let page = query.page()
        let everybodys = query.string("userId") == "all"
        let asked = everybodys ? nil : query.uuid("userId")
        try query.check()
        let seesAll = everybodys && call.principal.may(.usersRead)
        let owner =
            seesAll ? nil : try call.principal.owner(asked: asked, others: .usersRead, programs: .teamsRead)
        let found = try await teams.list(ofUser: owner, page, in: database)
        return .json(
            PagedAnswer(items: try await views(found.items, for: call.principal), page: page, total: found.total))
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        let team = try await visible(call)
        return .json(try await views([team], for: call.principal)[0])
    }

    private func members(_ call: AuthenticatedCall) async throws -> Response {
        let team = try await visible(call)
        var query = try call.call.query()
        let page = query.page()
        try query.check()
        guard !hidesMembers(of: team, from: call.principal) else {
            let own = try await ownPart(in: team, call.principal)
            return .json(
                PagedAnswer(items: page.number == 1 ? own.map(TeamMemberView.init) : [], page: page, total: own.count))
        }
        let found = try await teams.members(ofTeam: team.id, page, in: database)
        return .json(PagedAnswer(items: found.items.map(TeamMemberView.init), page: page, total: found.total))
    }

    /// The team that the path names, if it exists for the caller; one that was deleted only for those who see all.
    private func visible(_ call: AuthenticatedCall) async throws -> Team {
        let id = try call.call.uuid("id")
        let principal = call.principal
        guard let team = try await teams.find(id, in: database) else { throw APIError.notFound("team", id: id.text) }
        guard let user = principal.user, !principal.may(.usersRead) else { return team }
        guard team.isActive else { throw APIError.notFound("team", id: id.text) }
        if team.isDefault { return team }
        guard try await teams.member(user.id, ofTeam: id, in: database) != nil else {
            throw APIError.notFound("team", id: id.text)
        }
        return team
    }

    /// Who is in the default team is everybody there is, which is not for everybody to see.
    private func hidesMembers(of team: Team, from principal: Principal) -> Bool {
        team.isDefault && principal.user != nil && !principal.may(.usersRead)
    }

    private func ownPart(in team: Team, _ principal: Principal) async throws -> [TeamMember] {
        guard let user = principal.user else { return [] }
        return try await teams.member(user.id, ofTeam: team.id, in: database).map { [$0] } ?? []
    }

    private func views(_ found: [Team], for principal: Principal) async throws -> [TeamView] {
        var views: [TeamView] = []
        for summary in try await teams.summaries(found, members: TeamView.memberLimit, in: database) {
            var view = TeamView(summary: summary)
            if hidesMembers(of: summary.team, from: principal) {
                view.summary.members = try await ownPart(in: summary.team, principal)
                view.showsMemberCount = false
            }
            views.append(view)
        }
        return views
    }

    // MARK: Teams

    private func create(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        let new = try newTeam(body)
        return try await perform(call, body, status: .created) { transaction in
            try await administration.create(new, by: call.actor, in: transaction)
        }
    }

    private func newTeam(_ body: JSONBody) throws(APIError) -> NewTeam {
        var fields = body.fields
        var new = NewTeam(name: fields.requiredTeamName())
        new.alias = fields.text("alias", length: 0...255)
        new.description = fields.text("description", length: 0...1000)
        new.limits.maxBudget = fields.budget("maxBudget")
        new.limits.budgetDuration = fields.string("budgetDuration", length: 1...20)
        new.limits.tpmLimit = fields.rate("tpmLimit")
        new.limits.rpmLimit = fields.rate("rpmLimit")
        new.allowedModels = fields.modelNames() ?? []
        new.adminIds = fields.userIds("adminIds")
        try fields.check()
        return new
    }

    private func update(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let body = try await call.call.body()
        var fields = body.fields
        var change = TeamChange()
        if body.members["name"] != nil { change.name = fields.requiredTeamName() }
        change.alias = body.change("alias", to: fields.text("alias", length: 0...255))
        change.description = body.change("description", to: fields.text("description", length: 0...1000))
        change.limits = body.limitsChange(&fields)
        change.allowedModels = body.change("allowedModels", to: fields.modelNames())
        try fields.check()
        guard change != TeamChange() else {
            throw APIError.validation(
                "body", .required,
                "must name at least one of name, alias, description, maxBudget, budgetDuration, tpmLimit, rpmLimit, "
                    + "allowedModels")
        }
        let wanted = change
        return try await perform(call, body) { transaction in
            try await administration.change(id, wanted, by: call.actor, in: transaction)
        }
    }

    private func delete(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        return try await perform(call, JSONBody(bytes: [], members: [:]), kind: TeamDelete.self) { transaction in
            try await administration.delete(id, by: call.actor, in: transaction)
        }
    }

    /// The flags of older clients are read and make no difference: the whole team is compared.
    private func sync(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let body = try await call.call.body()
        var fields = body.fields
        for flag in ["forceSync", "syncBudget", "syncMembers", "syncUsage"] { _ = fields.bool(flag) }
        try fields.check()
        let outcome = Changes.Outcome(reload: { job in
            guard let team = try await teams.find(id, in: database) else { return nil }
            return TeamSyncView(team: team, finishedAt: job.finishedAt, output: try TeamSyncView.output(of: job))
        })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let changed = try await administration.sync(id, by: call.actor, in: transaction)
            return Change(
                resource: TeamSyncView(team: changed.team), job: changed.job.map { view(of: $0, changed.team) })
        }
    }

    // MARK: Members

    private func addMember(_ call: AuthenticatedCall) async throws -> Response {
        let id = try await managed(call)
        let body = try await call.call.body()
        var fields = body.fields
        let userId = fields.requiredUUID("userId")
        let role = fields.teamRole() ?? .member
        try fields.check()
        return try await setMember(call, body, userId, of: id, role, onlyMembers: false, status: .created)
    }

    private func setRole(_ call: AuthenticatedCall) async throws -> Response {
        let id = try await managed(call)
        let userId = try call.call.uuid("userId")
        let body = try await call.call.body()
        var fields = body.fields
        let role = fields.teamRole()
        if !fields.has("role") { fields.refuse("role", .required, "is required") }
        try fields.check()
        return try await setMember(call, body, userId, of: id, role ?? .member, onlyMembers: true)
    }

    private func setMember(
        _ call: AuthenticatedCall, _ body: JSONBody, _ userId: UUID, of id: UUID, _ role: TeamRole, onlyMembers: Bool,
        status: HTTPResponse.Status = .ok
    ) async throws -> Response {
        try await perform(call, body, status: status) { transaction in
            try await administration.setMember(
                userId, of: id, role: role, onlyMembers: onlyMembers, by: call.actor, in: transaction)
        }
    }

    private func removeMember(_ call: AuthenticatedCall) async throws -> Response {
        let id = try await managed(call)
        let userId = try call.call.uuid("userId")
        return try await perform(call, JSONBody(bytes: [], members: [:])) { transaction in
            try await administration.removeMember(userId, of: id, by: call.actor, in: transaction)
        }
    }

    /// The team whose members the caller may change: any for administrators and programs with the route's permission, else
    /// those that they are an admin of. For other people a team that they are not in does not exist.
    private func managed(_ call: AuthenticatedCall) async throws -> UUID {
        let id = try call.call.uuid("id")
        guard let user = call.principal.user, !call.principal.may(.teamsWrite) else { return id }
        let own = try await teams.member(user.id, ofTeam: id, in: database)
        guard own != nil || id == Team.defaultId || call.principal.may(.usersRead) else {
            throw APIError.notFound("team", id: id.text)
        }
        guard own?.role == .admin else {
            throw APIError(.forbidden, .forbidden, "Only the team's admins take members in and out.")
        }
        return id
    }

    // MARK: Answering

    private func perform(
        _ call: AuthenticatedCall, _ body: JSONBody, status: HTTPResponse.Status = .ok,
        _ change: @escaping @Sendable (PostgresTransaction) async throws -> ChangedTeam
    ) async throws -> Response {
        try await perform(call, body, status: status, kind: TeamEnsure.self, change)
    }

    private func perform<Kind: JobKind>(
        _ call: AuthenticatedCall, _ body: JSONBody, status: HTTPResponse.Status = .ok, kind: Kind.Type,
        _ change: @escaping @Sendable (PostgresTransaction) async throws -> ChangedTeam
    ) async throws -> Response {
        let outcome = Changes.Outcome(
            status: status,
            reload: { job in
                guard let id = job.resource.flatMap({ UUID(uuidString: $0.id) }),
                    let team = try await teams.find(id, in: database)
                else { return nil }
                return try await views([team], for: call.principal)[0]
            })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let changed = try await change(transaction)
            let summary = try await teams.summaries(
                [changed.team], members: TeamView.memberLimit, in: transaction)[0]
            return Change(
                resource: TeamView(summary: summary), job: changed.job.map { view(of: $0, changed.team, kind) })
        }
    }

    private func view(of job: EnqueuedJob, _ team: Team) -> JobView { view(of: job, team, TeamEnsure.self) }

    private func view<Kind: JobKind>(of job: EnqueuedJob, _ team: Team, _ kind: Kind.Type) -> JobView {
        JobView(job, kind, resource: JobResource(type: "team", id: team.id.text), at: team.updatedAt)
    }
}

extension Fields {
    fileprivate mutating func requiredTeamName() -> String {
        let name = requiredString("name", length: 1...255)
        if name.allSatisfy(\.isWhitespace), !name.isEmpty { refuse("name", .format, "must not be blank") }
        return name.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    fileprivate mutating func modelNames() -> [String]? {
        strings("allowedModels", count: 0...1000, length: 1...255).map { Array(Set($0)).sorted() }
    }

    fileprivate mutating func teamRole() -> TeamRole? {
        guard let text = string("role", length: 1...50) else { return nil }
        guard let role = TeamRole(rawValue: text) else {
            refuse("role", .choice, "must be one of \(TeamRole.allCases.map(\.rawValue).joined(separator: ", "))")
            return nil
        }
        return role
    }

    fileprivate mutating func userIds(_ name: String) -> [UUID] {
        var ids: [UUID] = []
        for (index, text) in (strings(name, count: 0...100, length: 1...36) ?? []).enumerated() {
            if let id = UUID(uuidString: text) {
                if !ids.contains(id) { ids.append(id) }
            } else {
                refuse("\(name)[\(index)]", .format, "must be a UUID")
            }
        }
        return ids
    }
}
