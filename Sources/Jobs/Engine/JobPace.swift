import Shared

/// How long jobs take here of late: what decides how far ahead of their time jobs are claimed.
struct JobPace: Sendable {
    /// Jobs that end within this long may be claimed ahead: shorter than anybody notices, longer than a claim takes.
    static let horizon = 0.05
    /// How many jobs have to have ended before anything is said.
    private static let least = 16
    private var count = 0
    private var seconds = 0.0

    mutating func note(_ took: Duration) {
        let sample = took.inSeconds
        count += 1
        // The first ones weigh more; a slow one shows sooner than a fast one.
        let weight = max(1 / Double(count), sample > seconds ? 0.1 : 0.02)
        seconds += (sample - seconds) * weight
    }

    /// None began for so long: those that run now are slow, whatever the ones before them were.
    mutating func stalled(for wait: Duration) { seconds = max(seconds, wait.inSeconds * 10) }

    func jobsWithinHorizon(slots: Int) -> Int {
        guard count >= Self.least else { return 0 }
        return Int(min(Double(slots) * Self.horizon / max(seconds, 1e-6), 1e6))
    }
}
