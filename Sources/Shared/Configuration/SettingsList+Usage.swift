extension SettingsList {
    // MARK: Usage

    static let usageGrace = Setting(
        "USAGE_GRACE_MINUTES", .duration(.minutes, 1...1440), default: .seconds(2 * 3600), .worker, usedBy: [.worker],
        "How long after midnight UTC a day may still take late spend; from then on it is final and not asked for again (minutes). Longer than LiteLLM's `proxy_batch_write_at`."
    )
    static let usageRequestLog = Setting(
        "USAGE_REQUEST_LOG", .boolean, default: false, .worker, usedBy: [.api, .worker],
        "Whether single requests (key, model, tokens, spend, status, time; no prompts, no answers) are taken over from LiteLLM's spend log and shown: the schedule `usage-request-log`, as long as no operator changed it."
    )
    static let usageRequestLogRetention = Setting(
        "USAGE_REQUEST_LOG_DAYS", .duration(.days, 1...3650), default: .seconds(30 * 86_400), .worker,
        usedBy: [.worker],
        "How long single requests are kept: the schedule `usage-purge`, unless an operator changed it.")

    static let usage = [usageGrace.definition, usageRequestLog.definition, usageRequestLogRetention.definition]
}

/// Usage.
package struct UsageConfiguration: Sendable {
    /// `USAGE_GRACE_MINUTES`.
    package let grace: Duration
    /// `USAGE_REQUEST_LOG`.
    package let keepsRequestLog: Bool
    /// `USAGE_REQUEST_LOG_DAYS`.
    package let requestLogRetention: Duration

    init(_ reader: inout SettingsReader) {
        grace = reader.read(SettingsList.usageGrace)
        keepsRequestLog = reader.read(SettingsList.usageRequestLog)
        requestLogRetention = reader.read(SettingsList.usageRequestLogRetention)
    }
}
