/// Random numbers that a seed determines (SplitMix64).
struct ModelRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// True in `percent` of a hundred cases.
    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

    /// One of the items by their weights.
    mutating func pick<Item>(_ items: [(weight: Int, item: Item)]) -> Item {
        var left = Int.random(in: 0..<items.map(\.weight).reduce(0, +), using: &self)
        for (weight, item) in items {
            if left < weight { return item }
            left -= weight
        }
        return items[items.count - 1].item
    }
}
