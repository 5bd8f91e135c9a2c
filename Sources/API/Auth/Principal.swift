import Foundation
import HTTPTypes
import Shared

/// Who is calling, as the database knows them now.
struct Principal: Sendable {
    /// A person, or a program with a token of its own.
    enum Subject: Sendable {
        case user(User)
        case service(ServiceIdentity)
    }

    let subject: Subject
    /// What they showed to prove it.
    let credential: Credential
    let permissions: Set<Permission>

    /// A person with a session has what the roles give; one who shows a key only what a key may do.
    init(user: User, credential: Credential) {
        subject = .user(user)
        self.credential = credential
        let ofRoles =
            user.roles.count == 1
            ? user.roles[0].permissions : user.roles.reduce(into: []) { $0.formUnion($1.permissions) }
        if case .apiKey = credential {
            permissions = ofRoles.intersection(Permission.ofAPIKeys)
        } else {
            permissions = ofRoles
        }
    }

    init(service: ServiceIdentity) {
        subject = .service(service)
        credential = .serviceToken(id: service.id)
        permissions = service.permissions
    }

    /// The caller's id as job rows and clients spell it.
    var id: String {
        switch subject {
        case .user(let user): user.id.text
        case .service(let service): service.requesterId
        }
    }

    /// The person; nil for a program.
    var user: User? {
        if case .user(let user) = subject { user } else { nil }
    }

    /// The person who made a program's token; nil for people and for tokens that nobody made.
    var creatorId: UUID? {
        if case .service(let service) = subject { service.creatorId } else { nil }
    }

    /// The person whose own things this request is about. 403 for a program, which has none.
    func requireUser() throws(APIError) -> User {
        guard let user else {
            throw APIError(
                .forbidden, .forbidden,
                "A service token has no keys, jobs or profile of its own; name the user instead.")
        }
        return user
    }

    func may(_ permission: Permission) -> Bool {
        permissions.contains(permission)
    }

    /// The roles that allow nothing which the caller may not do.
    var givableRoles: Set<Role> { Set(Role.allCases.filter { $0.permissions.isSubset(of: permissions) }) }

    /// 403 unless the permission is there.
    func require(_ permission: Permission) throws(APIError) {
        guard may(permission) else {
            let holder =
                switch credential {
                case .session: "your roles do not include"
                case .apiKey: "an API key does not give"
                case .serviceToken: "this token's scopes do not include"
                }
            throw APIError(
                .forbidden, .insufficientPermissions,
                "This needs the permission \(permission.rawValue), which \(holder).")
        }
    }
}

/// How a caller proved who they are.
enum Credential: Sendable, Equatable {
    /// A session token; `id` is the session's row.
    case session(id: UUID)
    /// A key of LiteMaaS, sent as the bearer.
    case apiKey(id: UUID)
    /// A service token; nil for one of `ADMIN_API_KEYS`.
    case serviceToken(id: UUID?)
}

/// A program that has shown a service token.
struct ServiceIdentity: Sendable {
    /// Its row; nil for one of `ADMIN_API_KEYS`.
    let id: UUID?
    let name: String
    let permissions: Set<Permission>
    /// The person who made the token, if one did.
    var creatorId: UUID?

    /// As job rows and idempotency keys name it.
    var requesterId: String { "service:\(id?.text ?? name)" }
}
