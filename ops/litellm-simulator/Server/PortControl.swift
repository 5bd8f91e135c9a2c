/// Orders to the listener to open or close its port.
final class PortControl: Sendable {
    enum Order: Sendable {
        case open
        /// Refuse connections, and open again at this moment.
        case close(until: ContinuousClock.Instant)
    }

    /// The orders as they come, an `open` first; ends when the simulator stops.
    let orders: AsyncStream<Order>
    private let sender: AsyncStream<Order>.Continuation

    init() {
        (orders, sender) = AsyncStream.makeStream()
        sender.yield(.open)
    }

    func open() { sender.yield(.open) }

    func close(until end: ContinuousClock.Instant) { sender.yield(.close(until: end)) }

    /// No more orders.
    func finish() { sender.finish() }
}
