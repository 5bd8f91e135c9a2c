import Foundation
import Logging
import Shared

/// Makes LiteLLM refuse one secret of a key, and let it go, whatever may still be on its way there.
struct KeyRefusal: Sendable {
    /// How LiteLLM was seen to refuse it.
    enum State: String, Sendable {
        case blocked
        case deleted
        case absent
    }

    let token: APIKeyToken
    /// As LiteLLM knows it by that secret.
    let key: APIKey
    let context: JobContext

    init(_ token: APIKeyToken, of key: APIKey, context: JobContext) {
        self.token = token
        self.key = key.known(by: token)
        self.context = context
    }

    /// Until when a create that is held up somewhere may still arrive; nil when none can any more.
    private func lateArrivals() async throws -> Date? {
        try await PostgresAPIKeyStore().token(token.hash, in: context.services.database)?.window
            .lateArrivals(grace: context.services.settings.deleteGrace)
    }

    // MARK: Refusing

    /// Blocks it and reads that back. Throws `JobFailure` when LiteLLM does not say so in the end.
    func refuse() async throws -> State {
        // A create that was held up can get in between any two steps; each one wins at most a round.
        for _ in 1...4 {
            let found = try await context.litellm.keyInfo(hash: token.hash)
            switch found?.status {
            case .blocked: return .blocked
            case .active, .expired:
                do {
                    try await context.litellm.blockKey(hash: token.hash)
                } catch let error as LiteLLMError where error.code == LiteLLMError.Code.keyNotFound {
                    // Deleted in between: the next round sees what there is now.
                }
            case .deleted, nil:
                guard try await lateArrivals() != nil else { return found == nil ? .absent : .deleted }
                try await occupy()
            }
        }
        throw JobFailure.retryable(
            code: "not_refused_yet", message: "LiteLLM was told to refuse the key, but does not say that it does.")
    }

    /// Puts a blocked key where a late create would put a live one: it changes nothing that is there.
    private func occupy() async throws {
        guard let secret = try await unsealed() else {
            throw JobFailure.retryable(
                code: "secret_gone",
                message: "A create of this key may still reach LiteLLM, and its secret is no longer kept; waiting.")
        }
        do {
            try await context.litellm.generateKey(key.litellmTombstone(intent: context.id), secret: secret)
        } catch let error as LiteLLMError where error.code == LiteLLMError.Code.aliasExists {
            // By the late create itself: the next round blocks it.
        }
    }

    /// The secret, where it was minted for a rotation or as the key's first one; nil when it is not kept.
    private func unsealed() async throws -> Secret? {
        let places: [(PostgresSealedSecretStore.Purpose, String)] = [
            (.apiKeyRotate, token.hash), (.apiKeyCreate, key.id.text),
        ]
        for (purpose, rowId) in places {
            let sealed = try await PostgresSealedSecretStore().get(purpose, rowId: rowId, in: context.services.database)
            guard let sealed else { continue }
            let secret = try context.services.sealer.open(sealed, purpose: purpose.rawValue, rowId: rowId)
            if APIKeySecret.hash(of: secret) == token.hash { return secret }
        }
        return nil
    }

    // MARK: Deleting

    /// Deletes it and reads that back; only once no create can arrive any more. True when there was nothing to delete.
    func remove() async throws -> Bool {
        var wasGone = true
        for _ in 1...3 {
            switch try await context.litellm.keyInfo(hash: token.hash)?.status {
            case .deleted, nil: return wasGone
            case .blocked: break
            case .active, .expired:
                context.logger.error("a revoked key was live in LiteLLM", metadata: ["key_id": "\(key.id.text)"])
                do {
                    try await context.litellm.blockKey(hash: token.hash)
                } catch let error as LiteLLMError where error.code == LiteLLMError.Code.keyNotFound {
                    continue
                }
            }
            wasGone = false
            _ = try await context.litellm.deleteKey(hash: token.hash)
        }
        throw JobFailure.retryable(
            code: "not_deleted_yet", message: "LiteLLM was told to delete the key, but still shows it.")
    }
}
