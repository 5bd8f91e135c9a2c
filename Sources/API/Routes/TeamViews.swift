import Foundation
import Jobs
import Shared

/// A team.
struct TeamView: ResourceBody, JSONRepresentable {
    /// Members shown with the team; the rest is in pages of their own.
    static let memberLimit = 100

    var summary: TeamSummary
    /// The default team's tells how many people there are.
    var showsMemberCount = true

    func write(to json: inout JSONWriter) {
        json.object { writeMembers(to: &$0) }
    }

    func writeMembers(to json: inout JSONWriter) {
        let team = summary.team
        json.member("id", team.id)
        json.member("name", team.name)
        json.member("alias", team.alias)
        json.member("description", team.description)
        json.member("isDefault", team.isDefault)
        json.member("isActive", team.isActive)
        json.member("maxBudget", team.limits.maxBudget)
        json.member("budgetDuration", team.limits.budgetDuration)
        json.member("tpmLimit", team.limits.tpmLimit)
        json.member("rpmLimit", team.limits.rpmLimit)
        json.member("currentSpend", team.spend?.amount ?? 0)
        json.member("spendTakenAt", team.spend?.takenAt)
        json.member("allowedModels", team.allowedModels)
        json.member("members", summary.members.map(TeamMemberView.init))
        json.member("memberCount", showsMemberCount ? summary.memberCount : nil)
        json.member("liteLLMTeamId", team.id)
        json.member("metadata", team.metadata)
        json.member("createdBy", team.createdBy)
        json.member("createdAt", team.createdAt)
        json.member("updatedAt", team.updatedAt)
        json.member("syncStatus", team.sync.status.rawValue)
        json.member("syncError", team.sync.error.map { SyncErrorView(error: $0) })
    }
}

/// Somebody in a team.
struct TeamMemberView: JSONRepresentable {
    let member: TeamMember

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("userId", member.userId)
            json.member("role", member.role.rawValue)
            json.member("joinedAt", member.joinedAt)
        }
    }
}

/// A comparison of a team with LiteLLM's.
struct TeamSyncView: ResourceBody {
    let team: Team
    /// Nil while it runs.
    var finishedAt: Date?
    var output: TeamEnsure.Output?

    /// What the job reported; nil while it runs.
    static func output(of job: JobSnapshot) throws -> TeamEnsure.Output? {
        try job.result.map { try JSON.decoder.decode(TeamEnsure.Output.self, from: JSON.encoder.encode($0)) }
    }

    func writeMembers(to json: inout JSONWriter) {
        let limits: Set = ["maxBudget", "budgetDuration", "tpmLimit", "rpmLimit"]
        json.member("success", true)
        json.member("teamId", team.id)
        json.member("syncedAt", finishedAt)
        json.member("changes") { json in
            json.member("budget", output.map { $0.created || !limits.isDisjoint(with: $0.changed) } ?? false)
            json.member("members", output.map { $0.joined ?? 0 > 0 || $0.left ?? 0 > 0 } ?? false)
            json.member("usage", output != nil)
        }
        json.member("joined", output.map { $0.joined ?? 0 })
        json.member("left", output.map { $0.left ?? 0 })
        json.member("currentSpend", team.spend?.amount)
        json.member("spendTakenAt", team.spend?.takenAt)
        json.member("syncStatus", team.sync.status.rawValue)
        json.member("syncError", team.sync.error.map { SyncErrorView(error: $0) })
    }
}
