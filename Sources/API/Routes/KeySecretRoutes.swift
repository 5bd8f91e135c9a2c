import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Shared

/// Secrets and spend of API keys: rotating, showing again, starting anew.
struct KeySecretRoutes: RouteGroup {
    /// Sessions older than this must sign in again before a secret is shown.
    private static let sessionAge: Duration = .seconds(24 * 3600)
    /// A week.
    private static let longestGrace = 7 * 24 * 3600

    let database: PostgresClient
    let sealer: Sealer
    let provisioning: KeyProvisioning
    let changes: Changes
    /// Whether the operator lets secrets be shown again.
    let revealEnabled: Bool
    private let visible: VisibleKeys
    private let secrets = PostgresSealedSecretStore()
    private let sessions = PostgresSessionStore()
    private let audit = PostgresAuditStore()
    private let settings = PostgresSettingStore()

    init(
        database: PostgresClient, sealer: Sealer, provisioning: KeyProvisioning, changes: Changes, revealEnabled: Bool
    ) {
        self.database = database
        self.sealer = sealer
        self.provisioning = provisioning
        self.changes = changes
        self.revealEnabled = revealEnabled
        visible = VisibleKeys(database: database)
    }

    var routes: [Route] {
        [
            .permitted(.apiKeysWrite, .post, "/api/v1/api-keys/{id}/rotate", rotate),
            .permitted(.apiKeysWrite, .post, "/api/v1/api-keys/{id}/reset-spend", resetSpend),
            .session(.post, "/api/v1/api-keys/{id}/reveal", reveal),
            .session(.post, "/api/v1/api-keys/{id}/retrieve-key", reveal),
        ]
    }

    // MARK: Rotating

    private func rotate(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let key = try await visible.find(id, for: call.principal, others: .usersWrite, programs: .apiKeysWrite)
        let body = try await call.call.body()
        var fields = body.fields
        let grace = fields.int("gracePeriodSeconds", in: 0...Self.longestGrace).map { Duration.seconds($0) }
        try fields.check()
        let keys = PostgresAPIKeyStore()
        let outcome = Changes.Outcome(
            reload: { job in
                guard let now = try await keys.find(id, in: database) else { return nil }
                return RotatedKeyView(key: now, keyPrefix: now.prefix, oldPrefix: key.prefix, at: now.rotatedAt)
            },
            secret: { stored in
                guard let hash = stored.members["liteLLMKeyId"]?.stringValue else { return nil }
                return try await secret(.apiKeyRotate, hash)
            })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let rotated = try await provisioning.rotate(id, grace: grace, by: call.actor, in: transaction)
            var view = RotatedKeyView(
                key: rotated.key, keyPrefix: rotated.prefix, oldPrefix: rotated.key.prefix, at: nil)
            view.hash = APIKeySecret.hash(of: rotated.secret)
            view.grace = rotated.grace
            return Change(
                resource: view, job: JobView(rotated.job, KeyRotate.self, key: rotated.key), secret: rotated.secret)
        }
    }

    private func secret(
        _ purpose: PostgresSealedSecretStore.Purpose, _ rowId: String
    ) async throws -> Secret? {
        guard let sealed = try await secrets.get(purpose, rowId: rowId, in: database) else { return nil }
        return try sealer.open(sealed, purpose: purpose.rawValue, rowId: rowId)
    }

    // MARK: Spend

    private func resetSpend(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let key = try await visible.find(id, for: call.principal, others: .usersWrite, programs: .apiKeysWrite)
        let isOwn = call.principal.user?.id == key.userId && !call.principal.may(.adminAPIKeys)
        if isOwn, try await settings.get(APIKeyDefaults.self, in: database)?.maximums.maxBudget != nil {
            throw APIError(
                .forbidden, .insufficientPermissions,
                "There is a maximum for budgets, which its owner could start anew at any time; ask an administrator.")
        }
        return try await changes.resetSpend(call, of: id, provisioning, database)
    }

    // MARK: Showing again

    private func reveal(_ call: AuthenticatedCall, _ user: User, _ sessionId: UUID) async throws -> Response {
        let id = try call.call.uuid("id")
        guard let key = try await PostgresAPIKeyStore().find(id, in: database), !key.isDeleted, key.userId == user.id
        else {
            // Nobody sees other people's secrets, administrators included.
            throw APIError.notFound("API key", id: id.text)
        }
        do {
            let secret = try await shown(key, sessionId)
            try await note(call, key, nil)
            return .json(
                Members { json in
                    json.member("key", secret.reveal())
                    json.member("keyType", "litellm")
                    json.member("retrievedAt", Date())
                }, headers: [.cacheControl: "no-store"])
        } catch let error as APIError {
            try await note(call, key, error)
            throw error
        }
    }

    private func shown(_ key: APIKey, _ sessionId: UUID) async throws -> Secret {
        guard revealEnabled else {
            throw APIError(
                .forbidden, .forbidden, "Keys are shown once, when they are made; rotate this one to get a new secret.")
        }
        let begun = try await sessions.find(sessionId, in: database)?.createdAt
        guard let begun, Date().timeIntervalSince(begun) <= Self.sessionAge.inSeconds else {
            throw APIError(
                .forbidden, .tokenTooOld, "You signed in more than 24 hours ago; sign in again to see the key.")
        }
        guard key.isActive, key.expiresAt.map({ $0 > Date() }) ?? true else {
            throw APIError(.badRequest, .invalidInput, "The key was revoked, or its time is over.")
        }
        guard let secret = try await secret(.apiKeyReveal, key.hash) else {
            throw APIError(
                .conflict, .conflict, "The secret of this key was not kept; rotate it to get one that can be shown.")
        }
        return secret
    }

    private func note(_ call: AuthenticatedCall, _ key: APIKey, _ error: APIError?) async throws {
        try await audit.append(
            AuditEntry(
                actor: call.actor, action: error == nil ? "API_KEY_RETRIEVE_FULL" : "API_KEY_RETRIEVE_FAILED",
                resourceType: "api_key", resourceId: key.id.text, success: error == nil,
                errorMessage: error?.message, metadata: ["keyPrefix": .string(key.prefix)]),
            in: database)
    }
}

extension Changes {
    /// Sets a key's spend back and answers with the job that does so in LiteLLM.
    func resetSpend(
        _ call: AuthenticatedCall, of id: UUID, _ provisioning: KeyProvisioning, _ database: PostgresClient
    ) async throws -> Response {
        let keys = PostgresAPIKeyStore()
        let outcome = Outcome(reload: { job in
            try await keys.find(id, in: database).map { KeySpendView(key: $0, at: job.finishedAt) }
        })
        return try await perform(call, outcome: outcome) { transaction in
            let (key, job) = try await provisioning.resetSpend(id, by: call.actor, in: transaction)
            return Change(
                resource: KeySpendView(key: key, at: nil), job: JobView(job, KeyResetSpend.self, key: key))
        }
    }
}

/// A key whose secret was changed.
struct RotatedKeyView: ResourceBody {
    let key: APIKey
    /// Of the new secret.
    let keyPrefix: String
    /// Of the one before it.
    let oldPrefix: String
    /// Nil until LiteLLM has the new one.
    let at: Date?
    /// Of the new secret, which a repeated request finds by it.
    var hash: String?
    var grace: Duration?

    func writeMembers(to json: inout JSONWriter) {
        json.member("id", key.id)
        json.member("keyPrefix", keyPrefix)
        json.member("oldPrefix", oldPrefix)
        json.member("rotatedAt", at ?? Date())
        json.member("gracePeriodSeconds", grace.map { Int($0.inSeconds) })
        json.member("liteLLMKeyId", hash ?? key.hash)
        json.member("syncStatus", at == nil ? SyncStatus.pending.rawValue : key.sync.status.rawValue)
    }
}

/// What a key has spent.
struct KeySpendView: ResourceBody {
    let key: APIKey
    /// Nil until LiteLLM was seen to have reset it.
    let at: Date?

    func writeMembers(to json: inout JSONWriter) {
        json.member("id", key.id)
        json.member("currentSpend", at == nil ? 0 : key.currentSpend ?? 0)
        json.member("resetAt", at ?? Date())
        json.member("syncStatus", at == nil ? SyncStatus.pending.rawValue : key.sync.status.rawValue)
    }
}
