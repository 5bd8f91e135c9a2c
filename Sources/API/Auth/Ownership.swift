import Foundation
import Shared

/// Whose things a caller sees. Every list and every lookup of something that belongs to a user goes through here;
/// what is not the caller's does not exist for them (404), so that ids tell nothing.
extension Principal {
    /// The user whose things a list shows: with the permission the one asked for, else the caller; nil is everybody,
    /// which only a program sees by asking for nobody. A program has no things of its own: it sees everybody's with the
    /// permission that the route itself asks for.
    func owner(
        asked userId: UUID?, others permission: Permission, programs: Permission
    ) throws(APIError) -> UUID? {
        guard let user else {
            try require(programs)
            return userId
        }
        return may(permission) ? userId ?? user.id : user.id
    }

    /// The same for sums: whoever has the permission, and a program, adds up everybody's by asking for nobody.
    func ownerOrEverybody(asked userId: UUID?, others permission: Permission) -> UUID? {
        guard let user, !may(permission) else { return userId }
        return user.id
    }

    /// Whether something of `userId` exists for this caller.
    func sees(thingsOf userId: UUID, others permission: Permission, programs: Permission) -> Bool {
        guard let user else { return may(programs) }
        return userId == user.id || may(permission)
    }
}
