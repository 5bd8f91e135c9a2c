import Foundation
package import Shared

extension JobAdministration {
    /// Jobs that a preview counts one by one.
    private static let surveyLimit = 100_000
    private static let sampleSize = 10

    /// What a bulk action would do: how many jobs, some of them, and which would be left as they are and why.
    ///
    /// - Throws: ``AdministrationError``.
    package func preview(_ request: BulkRequest) async throws -> BulkPreview {
        try request.check()
        let filter = request.appliedFilter
        let resolved = try await search.resolve(filter, in: queue.database)
        do {
            let (found, sample) = try await queue.database.withTransaction(readOnly: true) { transaction in
                let found = try await search.survey(resolved, limit: Self.surveyLimit, in: transaction)
                let sample = try await search.list(
                    resolved, beforeId: nil, limit: Self.sampleSize, in: transaction)
                return (found, sample)
            }
            var affected = 0
            var skipped: [BulkRefusal.Code: Int] = [:]
            for group in found {
                if let code = request.refusal(group.state, group.isProtected, isTaken: group.isTaken) {
                    skipped[code, default: 0] += group.count
                } else {
                    affected += group.count
                }
            }
            let counted = found.reduce(0) { $0 + $1.count }
            let isExact = counted < Self.surveyLimit
            let matched =
                isExact
                ? CountReport(value: counted, isExact: true) : try await search.count(resolved, in: queue.database)
            // Of more than are counted the part that is refused is taken to be the same.
            let share = counted == 0 ? 0 : Double(affected) / Double(counted)
            return BulkPreview(
                action: request.action, dryRun: true, filter: filter, matched: matched,
                affected: CountReport(
                    value: isExact ? affected : Int(Double(matched.value) * share), isExact: isExact),
                skipped: BulkRefusal.Code.allCases.compactMap { code in skipped[code].map { BulkRefusal(code, $0) } },
                sample: sample.map { JobReport($0) })
        } catch let error as PostgresError where error.isTimeout {
            throw AdministrationError.tooBroad
        }
    }

    /// Puts in the job that carries a bulk action out. It acts on jobs that are there now, not on later ones.
    ///
    /// - Throws: ``AdministrationError``; ``JobQueueError``.
    package func startBulk(
        _ request: BulkRequest, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        try request.check()
        var request = request
        request.filter = request.appliedFilter
        // Unknown names are refused now, not by the job.
        _ = try await search.resolve(request.filter, in: transaction)
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "jobs", id: request.action.rawValue)
        // JSON keeps milliseconds: rounded up, or what came in during the last one would be left out.
        let asOf = try await transaction.now().addingTimeInterval(0.001)
        let bulk = JobsBulk(request: request, by: actor.name, asOf: asOf)
        let job = try await queue.enqueue(bulk, options: options, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "JOBS_BULK_\(request.action.rawValue.uppercased())", resourceType: "JOB",
                resourceId: nil, newValues: try .encoding(request), jobId: job.id,
                metadata: .administration(force: request.force, reason: request.reason)),
            in: transaction)
        return job
    }

    /// Applies a bulk action to one job. Nil when it was changed, else why it was left as it is.
    func apply(
        _ request: BulkRequest, to id: Int64, by person: String, in transaction: PostgresTransaction
    ) async throws -> BulkRefusal.Code? {
        do {
            switch request.action {
            case .retry: try await queue.retry(id: id, in: transaction)
            case .cancel: try await queue.cancel(id: id, by: person, force: request.force, in: transaction)
            case .discard: try await queue.discard(id: id, by: person, force: request.force, in: transaction)
            case .reschedule:
                guard let time = request.runAt else { return .failed }
                try await queue.reschedule(id: id, at: time, force: request.force, in: transaction)
            }
            return nil
        } catch let error as JobQueueError {
            switch error {
            case .notFound: return .gone
            case .keyTaken: return .keyTaken
            case .protected: return .protected
            case .wrongState(_, let state, _): return state.isFinal ? .gone : .wrongState
            default: return .failed
            }
        }
    }
}

extension BulkRequest {
    /// The filter with the states it means, and without what was given up already.
    var appliedFilter: JobQuery {
        var filter = filter
        filter.states = filter.states ?? action.usualStates
        filter.discarded = false
        return filter
    }

    /// Why a job would be left as it is; nil when it would be changed.
    func refusal(_ state: JobState, _ isProtected: Bool, isTaken: Bool) -> BulkRefusal.Code? {
        guard action.states.contains(state) else { return .wrongState }
        // Bringing security work back protects; everything else holds it up.
        if isProtected, !force, action != .retry { return .protected }
        if isTaken, action == .retry { return .keyTaken }
        return nil
    }
}
