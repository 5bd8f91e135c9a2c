/// GET /key/list and GET /key/aliases.
enum KeyLists {
    private static let statuses: Set<String> = ["active", "expired", "revoked", "deleted"]

    /// Pages of keys, newest first: hashes, or rows with `return_full_object=true`.
    static func list(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let number = try question.whole("page", default: 1, in: 1...Int.max)
        let size = try question.whole("size", default: 10, in: 1...100)
        let status = question.parameter("status")
        if let status, !statuses.contains(status) {
            let known = "'active', 'expired', 'revoked', 'deleted'"
            throw .dictionary(400, "Invalid status value. Supported: \(known).", param: "None")
        }
        let full = question.flag("return_full_object")
        let owner = try owner(question)
        let found: [(row: KeyRow, entry: JSON)]
        if status == "deleted" {
            found = state.deletedKeys.values.filter { matches($0.row, question, owner: owner) }
                .map { ($0.row, full ? .object(KeyViews.deleted($0, \.zulu)) : .string($0.row.token)) }
        } else {
            let now = state.now
            found = candidates(state, question)
                .filter { status == nil || $0.status(at: now) == status }
                .filter { matches($0, question, owner: owner) }
                .map { ($0, full ? KeyViews.listed($0) : .string($0.token)) }
        }
        let page = Page(of: found.sorted { $0.row.sequence > $1.row.sequence }, number: number, size: size)
        return Answer([
            "keys": .array(page.elements.map(\.entry)), "total_count": .integer(page.total),
            "current_page": .integer(number), "total_pages": .integer(page.pages),
        ])
    }

    /// All aliases in alphabetical order, in pages.
    static func aliases(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let number = try question.whole("page", default: 1, in: 1...Int.max)
        let size = try question.whole("size", default: 50, in: 1...100)
        let part = question.parameter("search")?.lowercased() ?? ""
        let all = state.keys.aliases.filter { part.isEmpty || $0.lowercased().contains(part) }
        let page = Page(of: all, number: number, size: size)
        return Answer([
            "aliases": JSON(page.elements), "total_count": .integer(page.total), "current_page": .integer(number),
            "total_pages": .integer(page.pages), "size": .integer(size),
        ])
    }

    /// The keys an exact alias or hash leaves, so that a look-up does not read all of them.
    private static func candidates(_ state: State, _ question: Question) -> [KeyRow] {
        if let hash = question.parameter("key_hash") { return state.keys[hash].map { [$0] } ?? [] }
        if let alias = question.parameter("key_alias"), !question.flag("substring_matching") {
            return state.keys.tokens(alias: alias).compactMap { state.keys[$0] }
        }
        return state.keys.all
    }

    /// The user whose keys alone may be listed; nil for the master key, which sees all.
    private static func owner(_ question: Question) throws(Refusal) -> String? {
        guard let own = question.caller.key else { return nil }
        guard let user = own.userID else {
            throw .error(
                403, "You are not authorized to access this endpoint. No 'user_id' is associated with your API key.",
                type: "bad_request_error", param: "user_id")
        }
        return user
    }

    private static func matches(_ row: KeyRow, _ question: Question, owner: String?) -> Bool {
        if let owner, row.userID != owner { return false }
        if let hash = question.parameter("key_hash"), row.token != hash { return false }
        if let user = question.parameter("user_id"), row.userID != user { return false }
        if let team = question.parameter("team_id"), row.teamID != team { return false }
        let alias = row.alias ?? ""
        if let wanted = question.parameter("key_alias") {
            let partly = question.flag("substring_matching")
            guard partly ? alias.lowercased().contains(wanted.lowercased()) : row.alias == wanted else { return false }
        }
        if let search = question.parameter("search") {
            guard row.token == search || alias.lowercased().contains(search.lowercased()) else { return false }
        }
        return true
    }
}
