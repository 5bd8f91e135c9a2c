import HTTPTypes
import Shared

/// Who may use a route. A route cannot be declared without one.
enum AccessPolicy: Sendable, Equatable {
    /// Nobody has to sign in, and a credential that is sent is not looked at.
    case anyone
    /// Nobody has to sign in; who does may see more. A credential that is not valid counts as none, because a 401
    /// on a public page would sign the user out.
    case anyoneOrCaller
    /// Anybody who has signed in.
    case signedIn
    /// Anybody whose roles include the permission.
    case permission(Permission)
}

/// Who is calling, as the database knows them now.
struct Principal: Sendable {
    let user: User
    /// What they showed to prove it.
    let credential: Credential
    let permissions: Set<Permission>

    init(user: User, credential: Credential) {
        self.user = user
        self.credential = credential
        permissions =
            user.roles.count == 1
            ? user.roles[0].permissions : user.roles.reduce(into: []) { $0.formUnion($1.permissions) }
    }

    /// The caller's id as job rows and clients spell it.
    var id: String { user.id.text }

    func may(_ permission: Permission) -> Bool {
        permissions.contains(permission)
    }

    /// 403 unless the permission is there.
    func require(_ permission: Permission) throws(APIError) {
        guard may(permission) else {
            throw APIError(
                .forbidden, .insufficientPermissions,
                "This needs the permission \(permission.rawValue), which your roles do not include.")
        }
    }
}

/// How a caller proved who they are.
enum Credential: Sendable, Equatable {
    /// A session token; `id` is its `jti`.
    case session(id: String)
}
