import Foundation

/// Waits of any number in little memory: each counts in a step 4 % above the one before.
struct WaitHistogram: Sendable {
    private static let least = 0.01
    private static let growth = 1.04
    private var steps = [Int](repeating: 0, count: 512)
    private(set) var count = 0

    mutating func add(milliseconds: Double) {
        let step = Int((log(max(milliseconds, Self.least) / Self.least) / log(Self.growth)).rounded(.up))
        steps[min(max(step, 0), steps.count - 1)] += 1
        count += 1
    }

    /// The upper end of the step that holds this part of them, in milliseconds.
    func quantile(_ part: Double) -> Double {
        var left = Int((part * Double(count)).rounded(.up))
        for (step, number) in steps.enumerated() {
            left -= number
            if left <= 0 { return rounded(Self.least * pow(Self.growth, Double(step)), 2) }
        }
        return 0
    }
}
