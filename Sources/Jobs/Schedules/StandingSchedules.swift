package import Shared

/// The schedules that the programs bring along. They are made once; from then on an operator's changes win, and rows
/// that nobody has changed follow the settings.
package struct StandingSchedules: Sendable {
    /// Whether models are read from LiteLLM regularly.
    package var syncsModels = true
    package var modelSyncInterval: Duration = .seconds(3600)
    /// Days that ended jobs are kept.
    package var historyDays = 30
    /// Days that failed jobs wait for a person.
    package var deadLetterDays = 90
    /// Days that decided ticks are kept.
    package var tickDays = 30
    /// Days that batches of keys are kept.
    package var keyBatchDays = 365

    /// Whether single requests are taken over, and the days that they are kept.
    package var keepsRequestLog = false
    package var requestLogDays = 30

    /// Schedules whose first job does not wait for its time.
    package static let atOnce: Set<String> = ["model-sync"]

    /// The defaults.
    package init() {}

    /// As configured.
    package init(_ configuration: AppConfiguration) {
        syncsModels = configuration.worker.syncsModels
        modelSyncInterval = configuration.worker.modelSyncInterval
        historyDays = max(1, Int(configuration.worker.historyRetention.inSeconds / 86_400))
        deadLetterDays = max(1, Int(configuration.worker.deadLetterRetention.inSeconds / 86_400))
        keyBatchDays = max(1, Int(configuration.keys.batchRetention.inSeconds / 86_400))
        keepsRequestLog = configuration.usage.keepsRequestLog
        requestLogDays = max(1, Int(configuration.usage.requestLogRetention.inSeconds / 86_400))
    }

    /// What ``JobSchedules/seed(_:atOnce:)`` makes of them.
    package func drafts() throws -> [ScheduleDraft] {
        [
            try ScheduleDraft(
                name: "model-sync", description: "Takes LiteLLM's list of models over.", job: ModelSync(),
                cron: "@every \(max(1, Int(modelSyncInterval.inSeconds / 60)))m", enabled: syncsModels),
            try ScheduleDraft(
                name: "secrets-purge", description: "Deletes sealed secrets whose time has come.",
                job: SecretsPurge(), cron: "*/5 * * * *", jitterSeconds: 30),
            try ScheduleDraft(
                name: "usage-refresh",
                description: "Takes usage over from LiteLLM: today, and what lacks of the last days.",
                job: UsageRefresh(days: 35), cron: "17 * * * *", jitterSeconds: 120),
            try ScheduleDraft(
                name: "usage-request-log", description: "Takes single requests over from LiteLLM's log.",
                job: UsageRequestLog(), cron: "*/5 * * * *", jitterSeconds: 30, enabled: keepsRequestLog),
            try ScheduleDraft(
                name: "usage-purge", description: "Deletes files of usage and single requests past their time.",
                job: UsagePurge(requestDays: requestLogDays), cron: "53 * * * *", jitterSeconds: 300),
            try ScheduleDraft(
                name: "subscriptions-expire", description: "Ends subscriptions whose time is over.",
                job: SubscriptionsExpire(), cron: "* * * * *", jitterSeconds: 5),
            try ScheduleDraft(
                name: "quota-reset", description: "Begins the use of subscriptions anew whose month is over.",
                job: QuotaReset(), cron: "0 * * * *", jitterSeconds: 60),
            try ScheduleDraft(
                name: "key-snapshot", description: "Takes over what LiteLLM says keys have spent.", job: KeysSnapshot(),
                cron: "*/10 * * * *", jitterSeconds: 60),
            try ScheduleDraft(
                name: "user-snapshot", description: "Takes over what LiteLLM says users have spent.",
                job: UsersSnapshot(), cron: "5-59/10 * * * *", jitterSeconds: 60),
            try ScheduleDraft(
                name: "keys-expire", description: "Takes away keys whose time was over a week ago.",
                job: KeysExpire(olderThanSeconds: 7 * 86_400), cron: "41 2 * * *", jitterSeconds: 600),
            try ScheduleDraft(
                name: "key-batches-purge", description: "Deletes ended batches of keys past their time; keys stay.",
                job: KeysBulkPurge(days: keyBatchDays), cron: "47 3 * * *", jitterSeconds: 600),
            try ScheduleDraft(
                name: "reconcile", description: "Compares LiteLLM with our rows; refuses what works and must not.",
                job: ReconcileOrphans(dryRun: false), cron: "11 */6 * * *", jitterSeconds: 600),
            // What was given up waits for a person, and would only fail again: operators may switch this on.
            try ScheduleDraft(
                name: "integration-sync", description: "Brings everything to LiteLLM again that it lacks.",
                job: IntegrationSync(), cron: "37 4 * * *", jitterSeconds: 600, enabled: false),
            try ScheduleDraft(
                name: "job-retention", description: "Forgets ended jobs, old dead letters and old ticks.",
                job: JobsRetention(historyDays: historyDays, deadLetterDays: deadLetterDays, tickDays: tickDays),
                cron: "23 3 * * *", jitterSeconds: 600),
        ]
    }
}
