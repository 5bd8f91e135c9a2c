import Foundation

/// Second reads: an outage of LiteLLM's database shows as 400, 401 and a team's 404, which mean something else when
/// the database is there.
extension LiteLLMClient {
    /// The error once its confirmation was sought: the verdict's own, or a retryable one where the second read
    /// disagrees.
    func confirmed(_ verdict: LiteLLMVerdict, of call: LiteLLMCall) async throws -> LiteLLMError {
        var error = try await confirmation(verdict)
        // What a write did while its answer cannot be trusted nobody knows.
        if error.kind == .retryable, verdict.error.kind != .retryable { error.outcomeUnknown = call.isWrite }
        return error
    }

    private func confirmation(_ verdict: LiteLLMVerdict) async throws -> LiteLLMError {
        switch verdict.confirmation {
        case .none: return verdict.error
        case .probe: return try await ifDatabaseAnswers(verdict)
        case .masterKey: return try await ifMasterKeyIsRefusedAgain(verdict)
        case .teamAbsent(let id): return try await ifTeamIsNotListed(verdict, id: id)
        }
    }

    private func ifDatabaseAnswers(_ verdict: LiteLLMVerdict) async throws -> LiteLLMError {
        let second = try await outcome(of: .probe) {
            try JSON.decoder.decode(KeyCountAnswer.self, from: Data($0.body))
        }
        switch second {
        case .success: return verdict.error
        case .failure(let second): return unconfirmed(verdict, by: second)
        }
    }

    private func ifMasterKeyIsRefusedAgain(_ verdict: LiteLLMVerdict) async throws -> LiteLLMError {
        var call = LiteLLMCall.probe
        call.confirmsMasterKey = true
        guard case .failure(let refusal) = try await outcome(of: call, decode: { _ in }) else {
            return unconfirmed(verdict, by: nil)
        }
        let agrees = refusal.error.code == LiteLLMError.Code.masterKeyRefused
        return agrees ? verdict.error : unconfirmed(verdict, by: refusal)
    }

    private func ifTeamIsNotListed(_ verdict: LiteLLMVerdict, id: String) async throws -> LiteLLMError {
        switch try await teamsListed(id: id) {
        case .success(let teams):
            return teams.contains { $0.id == id } ? unconfirmed(verdict, by: nil) : verdict.error
        case .failure(let second):
            return unconfirmed(verdict, by: second)
        }
    }

    /// Teams of that id by a kind of read that cannot take an outage for an absence.
    private func teamsListed(id: String) async throws -> LiteLLMOutcome<[LiteLLMTeam]> {
        let query = [("team_id", id), ("page", "1"), ("page_size", "10")]
        let paged = try await outcome(of: .get("/v2/team/list", query, about: .health)) {
            try JSON.decoder.decode(TeamListAnswer.self, from: Data($0.body)).teams
        }
        // Releases without that route have only the complete list.
        guard case .failure(let verdict) = paged, verdict.error.httpStatus == 404 || verdict.error.httpStatus == 405
        else { return paged }
        return try await outcome(of: .get("/team/list", about: .health)) {
            try JSON.decoder.decode(TeamListAnswer.self, from: Data($0.body)).teams
        }
    }

    /// The second read failed in its own way, which is then the better explanation, or contradicts the first answer.
    private func unconfirmed(_ verdict: LiteLLMVerdict, by second: LiteLLMVerdict?) -> LiteLLMError {
        if let second, second.error.kind == .retryable, second.confirmation == .none {
            return second.error
        }
        return LiteLLMError(
            .retryable, code: LiteLLMError.Code.unconfirmed, httpStatus: verdict.error.httpStatus,
            message: "\(verdict.error.message), but a second read does not agree", countsForBreaker: true)
    }
}

extension LiteLLMCall {
    /// The cheapest call that needs both the master key and the database.
    static let probe = LiteLLMCall.get("/key/list", [("page", "1"), ("size", "1")], about: .health)
}
