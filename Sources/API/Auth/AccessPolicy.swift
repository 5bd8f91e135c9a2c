/// Who may use a route. A route cannot be declared without one.
enum AccessPolicy: Sendable, Equatable {
    /// Nobody has to sign in, and a credential that is sent is not looked at.
    case anyone
    /// Nobody has to sign in; who does may see more. A credential that is not valid counts as none, because a 401
    /// on a public page would sign the user out.
    case anyoneOrCaller
    /// Anybody who has shown a valid credential.
    case signedIn
    /// A person with a session: no key and no service token.
    case session
    /// Anybody whose roles include the permission.
    case permission(Permission)
}
