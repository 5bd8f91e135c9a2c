import HTTPTypes
import Metrics
import Shared
import Synchronization

/// Counts and times requests by method, route template and status. Instruments are made once per label set and kept:
/// asking the registry for them on every request would cost more than what they measure.
final class HTTPMetrics: Sendable {
    /// What the metrics are, for the registry.
    static let descriptions = [
        MetricDescription(requestsLabel, help: "Requests answered, by method, route and status."),
        MetricDescription(
            durationLabel, help: "Seconds from the request's head to the answer, by method and route.",
            buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10, 30]),
        MetricDescription(activeLabel, help: "Requests being answered now."),
    ]

    private static let requestsLabel = "litemaas.http.requests"
    private static let durationLabel = "litemaas.http.request.duration"
    private static let activeLabel = "litemaas.http.requests.active"

    private struct Series: Hashable {
        let method: HTTPRequest.Method
        let route: String
        let status: Int
    }

    private struct Instruments {
        let counter: Counter
        let timer: Timer
    }

    private let factory: any MetricsFactory
    private let instruments = Mutex<[Series: Instruments]>([:])
    private let active: Meter

    init(factory: any MetricsFactory = MetricsSystem.factory) {
        self.factory = factory
        active = Meter(label: Self.activeLabel, dimensions: [], factory: factory)
    }

    /// A request has come in.
    func started() { active.increment() }

    /// A request has been answered.
    func ended() { active.decrement() }

    /// One answered request. `route` is a template of the route table, so that the labels are bounded.
    func record(method: HTTPRequest.Method, route: String, status: Int, duration: Duration) {
        let series = Series(method: method, route: route, status: status)
        let found = instruments.withLock { instruments in
            if let found = instruments[series] { return found }
            let dimensions = [("method", Self.label(method)), ("route", route)]
            let made = Instruments(
                counter: Counter(
                    label: Self.requestsLabel, dimensions: dimensions + [("status", String(status))], factory: factory),
                timer: Timer(
                    label: Self.durationLabel, dimensions: dimensions, preferredDisplayUnit: .seconds,
                    factory: factory))
            // Clients choose methods freely; only known ones are kept.
            if dimensions[0].1 != "other" { instruments[series] = made }
            return made
        }
        found.counter.increment()
        found.timer.recordNanoseconds(
            duration.components.seconds * 1_000_000_000 + duration.components.attoseconds / 1_000_000_000)
    }

    private static func label(_ method: HTTPRequest.Method) -> String {
        switch method {
        case .get, .head, .post, .put, .patch, .delete, .options: method.rawValue
        default: "other"
        }
    }
}
