import Foundation
import Shared

/// Finds the people of a batch, and every row that cannot be used.
struct KeyBatchPeople {
    /// Rows that are named one by one.
    private static let namedLimit = 50

    let request: KeyBatchRequest
    private var violations: [SettingViolation] = []

    init(request: KeyBatchRequest) { self.request = request }

    /// One item for each key.
    ///
    /// - Throws: ``ProvisioningError`` `invalidBatch`, `roleBeyondOwn`, `userNotFound`.
    func items(in transaction: PostgresTransaction) async throws -> [NewKeyBatch.Item] {
        var reader = self
        let items =
            switch request.people {
            case .one(let id, let count): try await reader.items(for: id, count, in: transaction)
            case .each(let people): try await reader.items(for: people, in: transaction)
            }
        try await reader.checkTeam(items, in: transaction)
        reader.checkNames(items)
        try reader.refuse()
        guard request.mayMakePeople || items.allSatisfy({ $0.userId != nil }) else {
            throw ProvisioningError(
                .roleBeyondOwn, "People who are not known yet are made only with the permission users:write.",
                field: "users")
        }
        return items
    }

    private mutating func items(
        for id: UUID, _ count: Int, in transaction: PostgresTransaction
    ) async throws -> [NewKeyBatch.Item] {
        guard id != User.systemId, let user = try await PostgresUserStore().find(id, in: transaction) else {
            throw ProvisioningError(.unknownUsers, "There is no such user.", field: "userId")
        }
        if !user.isActive { violate("userId", "names somebody who is deactivated") }
        return (1...max(1, count)).map { item(user, number: $0) }
    }

    private mutating func items(
        for people: [KeyBatchRequest.Person], in transaction: PostgresTransaction
    ) async throws -> [NewKeyBatch.Item] {
        let known = try await users(people, in: transaction)
        let byId = Dictionary(known.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        let byEmail = Dictionary(known.map { ($0.email.lowercased(), $0) }, uniquingKeysWith: { first, _ in first })
        let byName = Dictionary(known.map { ($0.username.lowercased(), $0) }, uniquingKeysWith: { first, _ in first })
        var places: [String: String] = [:]
        var items: [NewKeyBatch.Item] = []
        for (index, person) in people.enumerated() {
            let place = person.place
            let item: NewKeyBatch.Item
            switch person.who {
            case .known(let id):
                guard id != User.systemId, let user = byId[id] else {
                    violate(place, "names no user")
                    continue
                }
                if !user.isActive { violate(place, "names somebody who is deactivated") }
                item = self.item(user, number: index + 1)
            case .named(let username, let email, let fullName):
                if let user = byEmail[email.lowercased()] {
                    guard user.username.lowercased() == username.lowercased() else {
                        violate("\(place).email", "belongs to the user \(user.username); name them by that or by id")
                        continue
                    }
                    if !user.isActive { violate(place, "names somebody who is deactivated") }
                    item = self.item(user, number: index + 1)
                } else if byName[username.lowercased()] != nil {
                    violate("\(place).username", "is the name of somebody with another e-mail address")
                    continue
                } else {
                    item = self.item(nil, username, email, fullName, number: index + 1)
                }
            }
            for name in ["name:\(item.username.lowercased())", "email:\(item.email.lowercased())"] {
                if let other = places[name], other != place {
                    violate(place, "names the same person as \(other)")
                    break
                }
                places[name] = place
            }
            items.append(item)
        }
        return items
    }

    private func users(
        _ people: [KeyBatchRequest.Person], in transaction: PostgresTransaction
    ) async throws -> [User] {
        var (ids, names, emails): ([UUID], [String], [String]) = ([], [], [])
        for person in people {
            switch person.who {
            case .known(let id): ids.append(id)
            case .named(let username, let email, _):
                names.append(username)
                emails.append(email)
            }
        }
        let byId = try await PostgresUserStore().find(ids, in: transaction)
        return try await byId + PostgresKeyBatchStore().usersKnown(as: names, emails, in: transaction)
    }

    private func item(_ user: User, number: Int) -> NewKeyBatch.Item {
        item(user.id, user.username, user.email, user.fullName, number: number)
    }

    private func item(
        _ id: UUID?, _ username: String, _ email: String, _ fullName: String?, number: Int
    ) -> NewKeyBatch.Item {
        NewKeyBatch.Item(
            userId: id, username: username, email: email, fullName: fullName,
            keyName: request.template.name(number: number, username: username, email: email))
    }

    // MARK: Rules

    private mutating func checkTeam(_ items: [NewKeyBatch.Item], in transaction: PostgresTransaction) async throws {
        guard let teamId = request.template.teamId, teamId != Team.defaultId else { return }
        let field = request.templatePath + "teamId"
        let ids = items.compactMap(\.userId)
        let members = try await PostgresKeyBatchStore().members(of: teamId, among: ids, in: transaction)
        let others = items.filter { item in item.userId.map { !members.contains($0) } ?? true }.map(\.username)
        guard !others.isEmpty else { return }
        let named = Set(others).sorted().prefix(5).joined(separator: ", ")
        violate(field, "is no team that these people are in: \(named)")
    }

    private mutating func checkNames(_ items: [NewKeyBatch.Item]) {
        guard let item = items.first(where: { !(1...255).contains($0.keyName.count) }) else { return }
        violate(
            request.templatePath + "keyName",
            "must give names of 1 to 255 characters; for \(item.username) it has \(item.keyName.count)")
    }

    private mutating func violate(_ field: String, _ message: String) {
        violations.append(SettingViolation(field: field, message: message))
    }

    private func refuse() throws {
        guard let first = violations.first else { return }
        var error = ProvisioningError(.invalidBatch, "\(first.field) \(first.message)", field: first.field)
        error.violations = Array(violations.prefix(Self.namedLimit))
        if violations.count > Self.namedLimit {
            error.violations.append(
                SettingViolation(field: "users", message: "has \(violations.count) faults; the first ones are named"))
        }
        throw error
    }
}
