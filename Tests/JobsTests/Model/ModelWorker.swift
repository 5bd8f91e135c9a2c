import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// One engine that the scheduler drives by hand, and what the model knows of it.
final class ModelWorker {
    struct Attempt {
        var stop: StopReason?
        var isReleased = false
    }

    let engine: JobEngine
    let client: PostgresClient
    /// What runs or waits to be written down here.
    var attempts: [AttemptId: Attempt] = [:]
    /// Outcomes in the order in which they came, and how they are to be judged.
    var outcomes: [JobOutcome] = []
    var verdicts: [AttemptId: ReferenceModel.Outcome] = [:]
    /// Claims that the database knows of and the engine does not.
    var lostClaims: Set<AttemptId> = []

    init(_ harness: EngineHarness, name: String) {
        var settings = harness.database.settings
        settings.maxConnections = 3
        settings.applicationName = name
        settings.sessionSettings = JobEngine.plannerSettings
        client = PostgresClient(settings: settings, logger: EngineHarness.logger)
        var engineSettings = EngineHarness.fastSettings
        engineSettings.name = name
        engineSettings.concurrency = 6
        engineSettings.reservedConcurrency = 0
        engineSettings.lease = .seconds(3600)
        engine = harness.engine(engineSettings, database: client)
    }

    var id: Int32 { engine.workerId }

    /// Tells what runs here to stop, as the engine does; the first reason counts.
    func stopAll(_ reason: StopReason) {
        for (attempt, state) in attempts where state.stop == nil && !state.isReleased {
            attempts[attempt]?.stop = reason
        }
    }

    /// What has to become of an attempt that is let go on with `act`.
    func verdict(_ act: ModelAct, on attempt: AttemptId, _ job: ReferenceModel.Job?) -> ReferenceModel.Outcome {
        let stop = attempts[attempt]?.stop
        if act == .succeed || (act == .heedCancellation && stop == nil) { return .succeeded }
        let isLast = job.map { $0.attempt >= $0.maxAttempts } ?? false
        let failed: ReferenceModel.Outcome = isLast ? .failed : .again(charged: true, ready: false)
        switch (stop, act) {
        case (.leaseLost, _): return .lost
        case (.cancelled, _): return .cancelled
        case (.shutdown, .heedCancellation): return .again(charged: false, ready: true)
        case (.timeout, .heedCancellation): return failed
        case (_, .fail): return failed
        case (_, .failForGood): return .failed
        default: return .again(charged: false, ready: false)
        }
    }

    /// Takes outcomes over from the engine until `count` have come.
    func collect(_ count: Int) async throws -> Bool {
        try await eventually {
            outcomes += engine.finished.take(1000)
            return outcomes.count >= count
        }
    }
}
