import Foundation
import Jobs
import Shared

extension DatabaseOperator {
    func reconcile(scope: [ReconcileScope]?, dryRun: Bool, policy: ReconcilePolicy) async throws -> JobNumber {
        JobNumber(
            try await administration.perform {
                try await requests.reconcile(scope: scope, dryRun: dryRun, policy: policy, by: actor, in: $0)
            }.id)
    }

    func findings(_ filter: DriftFilter) async throws -> DriftPage {
        let found = try await requests.findings(filter)
        let size = filter.page.size
        return DriftPage(
            data: found.items.map(DriftReport.init),
            pagination: DriftPage.Pagination(
                page: filter.page.number, limit: size, total: found.total, totalPages: (found.total + size - 1) / size))
    }

    func decide(_ id: Int64, _ decision: DriftDecision) async throws -> DriftReport {
        do {
            return DriftReport(
                try await administration.perform { transaction in
                    switch decision {
                    case .repair: try await requests.repair(id, by: actor, in: transaction).finding
                    case .ignore(let reason):
                        try await requests.ignore(id, reason: reason, by: actor, in: transaction)
                    case .revoke(let confirm):
                        try await requests.revoke(id, confirm: confirm, by: actor, in: transaction).finding
                    case .adopt(let userId, let name, let subscribe, let replaceMetadata):
                        try await requests.adopt(
                            id, for: userId, name: name, subscribe: subscribe, replaceMetadata: replaceMetadata,
                            by: actor,
                            in: transaction
                        ).finding
                    }
                })
        } catch let error as DriftError {
            throw CommandRefusal(error)
        }
    }
}

extension CommandRefusal {
    init(_ error: DriftError) {
        let field = error.field.map { " (\($0))" } ?? ""
        switch error.code {
        case .notFound: self.init(status: .notFound, error.message)
        case .ended, .impossible: self.init(status: .refused, error.message)
        case .unconfirmed, .invalid: self.init(status: .usage, error.message + field)
        }
    }
}
