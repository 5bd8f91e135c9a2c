import Foundation
import Shared

/// Whose things a caller sees. Every list and every lookup of something that belongs to a user goes through here;
/// what is not the caller's does not exist for them (404), so that ids tell nothing.
extension Principal {
    /// The user whose things a list shows: with the permission the one asked for, else the caller; nil is everybody,
    /// which only a program with the permission sees by asking for nobody.
    func owner(asked userId: UUID?, others permission: Permission) throws(APIError) -> UUID? {
        if may(permission) { return userId ?? user?.id }
        return try requireUser().id
    }

    /// Whether something of `userId` exists for this caller.
    func sees(thingsOf userId: UUID, others permission: Permission) -> Bool {
        userId == user?.id || may(permission)
    }
}
