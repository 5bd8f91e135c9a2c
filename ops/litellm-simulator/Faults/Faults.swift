import Synchronization

/// The rules in force, and the dice.
final class Faults: Sendable {
    private struct Book {
        var rules: [FaultRule] = []
        var dice: Dice
        var lastID = 0
    }

    private let book: Mutex<Book>
    private let seed: UInt64

    init(seed: UInt64) {
        self.seed = seed
        book = Mutex(Book(dice: Dice(seed: seed)))
    }

    /// Adds rules after the ones there are.
    ///
    /// - Returns: the rules as they are known from now on.
    func add(_ rules: [JSON]) throws(Refusal) -> [FaultRule] {
        let result = book.withLock { book -> Result<[FaultRule], Refusal> in
            Result { () throws(Refusal) in
                var added: [FaultRule] = []
                for rule in rules {
                    added.append(try FaultReader.read(rule, id: book.lastID + added.count + 1))
                }
                book.lastID += added.count
                book.rules += added
                return added
            }
        }
        return try result.get()
    }

    /// The rules in force.
    var rules: [FaultRule] {
        book.withLock { book in
            Self.dropEnded(&book)
            return book.rules
        }
    }

    /// Removes the rules `which` says.
    ///
    /// - Returns: how many there were.
    @discardableResult
    func remove(where which: @Sendable (FaultRule) -> Bool) -> Int {
        book.withLock { book in
            let before = book.rules.count
            book.rules.removeAll(where: which)
            return before - book.rules.count
        }
    }

    /// Removes every rule and starts the dice anew.
    func reset() { book.withLock { $0 = Book(dice: Dice(seed: seed), lastID: $0.lastID) } }

    /// The faults that hit `call`, in order: every delay that fits, up to the first one that ends the request. Rolls
    /// the dice and counts the hits.
    func hits(on call: Call) -> [FaultRule] {
        book.withLock { book in
            Self.dropEnded(&book)
            var hits: [FaultRule] = []
            for index in book.rules.indices {
                let rule = book.rules[index]
                guard rule.match.count.map({ rule.hits < $0 }) ?? true, rule.match.fits(call) else { continue }
                guard rule.match.percent >= 100 || book.dice.percentage() < rule.match.percent else { continue }
                book.rules[index].hits += 1
                hits.append(rule)
                if rule.action.isFinal { break }
            }
            return hits
        }
    }

    private static func dropEnded(_ book: inout Book) {
        let now = ContinuousClock.now
        book.rules.removeAll { rule in rule.ends.map { $0 <= now } ?? false }
    }
}

/// A small random generator (SplitMix64) whose numbers depend on its seed alone.
struct Dice: Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// A number from 0 up to but not including 100.
    mutating func percentage() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        mixed ^= mixed >> 31
        return Double(mixed >> 11) / Double(1 << 53) * 100
    }
}
