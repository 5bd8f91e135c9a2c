package import Shared

/// Why an intent was refused before anything was stored. Safe to show to whoever asked.
package struct ProvisioningError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds of refusal.
    package enum Code: String, Sendable {
        /// There is no such user.
        case userNotFound = "user_not_found"
        /// The user is deactivated.
        case userInactive = "user_inactive"
        /// The user holds as many keys as one may.
        case keyLimitReached = "key_limit_reached"
        /// No model is named. LiteLLM would take that for all of them.
        case noModels = "no_models"
        /// Models are named that the catalogue does not have.
        case unknownModels = "unknown_models"
        /// Models are named that LiteLLM no longer offers.
        case unavailableModels = "unavailable_models"
        /// Models are named for which the user has no active subscription.
        case notSubscribed = "not_subscribed"
        /// There is no such team, or the user is not in it.
        case teamNotFound = "team_not_found"
        /// Another team in use has this name.
        case teamNameTaken = "team_name_taken"
        /// Somebody would delete the team that everybody is in, or leave it.
        case defaultTeam = "default_team"
        /// A team has keys that work, which would go with it.
        case teamHasKeys = "team_has_keys"
        /// A member has keys of the team that work.
        case memberHasKeys = "member_has_keys"
        /// The user is not in the team.
        case memberNotFound = "member_not_found"
        /// Users are named that there are not.
        case unknownUsers = "unknown_users"
        /// The user is in no conflict with LiteLLM that a person could decide.
        case noConflict = "no_conflict"
        /// A limit or period is not of the form LiteLLM takes.
        case invalidLimit = "invalid_limit"
        /// More is asked for than administrators let people take for themselves.
        case beyondMaximum = "beyond_maximum"
        /// The time of expiry lies in the past.
        case expiryInPast = "expiry_in_past"
        /// There is no such key.
        case keyNotFound = "key_not_found"
        /// The key was revoked, or its time is over.
        case keyInactive = "key_inactive"
        /// The key's creation or rotation has not come to its end, or was given up.
        case keyUnfinished = "key_unfinished"
        /// There is no such model.
        case modelNotFound = "model_not_found"
        /// There is a model of this name.
        case modelExists = "model_exists"
        /// The model is not in a state in which it can be changed here.
        case modelConflict = "model_conflict"
        /// What is asked of a model cannot be.
        case invalidModel = "invalid_model"
        /// Nothing is planned that could be undone.
        case retirementNotPlanned = "retirement_not_planned"
        /// It is too late to undo it.
        case retirementBegun = "retirement_begun"
        /// There is no such batch of keys.
        case batchNotFound = "batch_not_found"
        /// What is asked of a batch cannot be, as it is now.
        case batchConflict = "batch_conflict"
        /// Rows of a batch, or its template, cannot be used.
        case invalidBatch = "invalid_batch"
        /// Somebody else has this user name.
        case usernameTaken = "username_taken"
        /// Somebody else has this e-mail address.
        case emailTaken = "email_taken"
        /// Somebody else has this identity at the provider.
        case identityTaken = "identity_taken"
        /// Somebody would take away what they need to undo it.
        case ownAccount = "own_account"
        /// Somebody would give or take a role that allows more than they may themselves.
        case roleBeyondOwn = "role_beyond_own"
        /// Nobody would be left to administer.
        case lastAdmin = "last_admin"
    }

    /// The kind of refusal.
    package let code: Code
    /// One sentence.
    package let message: String
    /// The field that is to blame, in the API's spelling.
    package let field: String?
    /// The values of that field that are to blame.
    package let values: [String]
    /// What each of several fields should be; empty when `field` is the only one.
    package var violations: [SettingViolation] = []

    package init(_ code: Code, _ message: String, field: String? = nil, values: [String] = []) {
        self.code = code
        self.message = message
        self.field = field
        self.values = values
    }

    /// The message.
    package var description: String { message }
}
