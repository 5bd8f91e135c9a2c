import Foundation
import Jobs
import Shared

/// A user as those see them who may see all of them.
struct UserView: ResourceBody {
    let user: User

    func writeMembers(to json: inout JSONWriter) {
        ProfileView(user: user).writeMembers(to: &json)
        json.member("maxBudget", user.limits.maxBudget)
        json.member("budgetDuration", user.limits.budgetDuration)
        json.member("tpmLimit", user.limits.tpmLimit)
        json.member("rpmLimit", user.limits.rpmLimit)
        json.member("syncStatus", user.sync.status.rawValue)
        json.member("syncError", user.sync.error.map { SyncErrorView(error: $0) })
    }
}

/// A user in a list.
struct UserListItem: JSONRepresentable {
    let user: User

    func write(to json: inout JSONWriter) {
        json.object { json in
            UserView(user: user).writeMembers(to: &json)
            json.member("lastLogin", user.lastLoginAt)
            json.member("updatedAt", user.updatedAt)
        }
    }
}

/// A user with what belongs to them.
struct UserDetailView: JSONRepresentable {
    let user: User
    let deactivatedAt: Date?
    let keys: UserKeyCounts
    let subscriptions: SubscriptionCounts
    let conflict: UserConflict?
    let spend: StoredSpend?

    func write(to json: inout JSONWriter) {
        json.object { json in
            UserView(user: user).writeMembers(to: &json)
            json.member("lastLogin", user.lastLoginAt)
            json.member("updatedAt", user.updatedAt)
            json.member("deactivatedAt", deactivatedAt)
            json.member("subscriptionsCount", subscriptions.total)
            json.member("activeSubscriptionsCount", subscriptions.active)
            json.member("apiKeysCount", keys.total)
            json.member("activeApiKeysCount", keys.active)
            json.member("currentSpend", spend?.amount)
            json.member("budgetResetAt", spend?.budgetResetAt)
            json.member("spendTakenAt", spend?.takenAt)
            json.member("conflict", conflict.map { UserConflictView(conflict: $0) })
        }
    }
}

/// A user after a change.
struct ChangedUserView: ResourceBody {
    let state: ChangedUserState

    func writeMembers(to json: inout JSONWriter) {
        UserView(user: state.user).writeMembers(to: &json)
        json.member("updatedAt", state.user.updatedAt)
        json.member("deactivatedAt", state.deactivatedAt)
        json.member("keyJobs", state.keyJobs.isEmpty ? nil : state.keyJobs.map { KeyJobView(job: $0) })
    }
}

/// What is answered when a user was deactivated.
struct DeactivatedUserView: ResourceBody {
    let changed: ChangedUser

    func writeMembers(to json: inout JSONWriter) {
        json.member("message", "User deactivated successfully")
        json.member("deactivatedAt", changed.deactivatedAt)
        json.member("keyJobs", changed.keyJobs.isEmpty ? nil : changed.keyJobs.map { KeyJobView(job: $0) })
    }
}

/// A job about one of a user's keys.
struct KeyJobView: JSONRepresentable {
    let job: KeyJob

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("keyId", job.keyId)
            json.member("jobId", String(job.job.id))
        }
    }
}

/// The limits of a user.
struct UserLimitsView: ResourceBody {
    let user: User

    func writeMembers(to json: inout JSONWriter) {
        json.member("id", user.id)
        json.member("maxBudget", user.limits.maxBudget)
        json.member("tpmLimit", user.limits.tpmLimit)
        json.member("rpmLimit", user.limits.rpmLimit)
        json.member("budgetDuration", user.limits.budgetDuration)
        json.member("updatedAt", user.updatedAt)
    }
}

/// A person's own profile.
struct ProfileView: ResourceBody {
    let user: User

    func writeMembers(to json: inout JSONWriter) {
        json.member("id", user.id)
        json.member("username", user.username)
        json.member("email", user.email)
        json.member("fullName", user.fullName)
        json.member("roles", user.roles.map(\.rawValue))
        json.member("isActive", user.isActive)
        json.member("lastLoginAt", user.lastLoginAt)
        json.member("createdAt", user.createdAt)
    }
}

extension ChangedUser {
    /// The job that a client follows: the user's own, else the first of the keys'.
    var view: JobView? {
        if let job {
            return JobView(
                job, UserProvision.self, resource: JobResource(type: "user", id: user.id.text), at: user.updatedAt)
        }
        return keyJobs.first.map { first in
            let resource = JobResource(type: "api_key", id: first.keyId.text)
            return JobView(first.job, KeyAccess.self, resource: resource, at: user.updatedAt)
        }
    }
}
