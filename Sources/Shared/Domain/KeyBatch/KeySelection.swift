package import Foundation

/// Which live keys are meant by an action on many of them.
package struct KeySelection: Codable, Sendable, Equatable {
    /// Whether a key needs all of the labels or any of them.
    package enum Match: String, Codable, Sendable, CaseIterable {
        case all
        case any
    }

    /// Those of a batch; nil to go by the labels.
    package var batchId: UUID?
    /// At least one, unless a batch is named.
    package var labels: [String]
    package var match: Match
    /// Keys made later are not meant; nil for no such limit.
    package var asOf: Date?

    /// The keys of a batch.
    package init(batchId: UUID) {
        self.batchId = batchId
        labels = []
        match = .all
    }

    /// The keys with these labels.
    package init(labels: [String], match: Match) {
        self.labels = labels
        self.match = match
    }
}

/// The bounds of labels.
package enum KeyLabels {
    /// On one key.
    package static let limit = 10
    /// Characters of one.
    package static let length = 50
}
