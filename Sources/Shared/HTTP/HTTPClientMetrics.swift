import Metrics

/// Counts and times requests. Labels are bounded: a status class or a kind of failure.
struct HTTPClientMetrics: Sendable {
    /// The factory in force when the transport was made: what happens later happens outside of any task.
    private let factory: any MetricsFactory = MetricsSystem.factory

    /// A request was answered, with whatever status.
    func finished(response: HTTPClientResponse) {
        record(outcome: "\(response.status / 100)xx", duration: response.duration)
        if !response.reusedConnection {
            Counter(label: "litemaas_http_client_connections_opened_total", factory: factory).increment()
        }
    }

    /// A request failed without an answer.
    func finished(error: HTTPTransportError, duration: Duration) {
        record(outcome: error.code.label, duration: duration)
    }

    private func record(outcome: String, duration: Duration) {
        Metrics.Timer(
            label: "litemaas_http_client_request_duration_seconds", dimensions: [("outcome", outcome)],
            factory: factory
        ).record(duration: duration)
    }
}

extension HTTPTransportError.Code {
    /// A word for logs and metric labels.
    package var label: String {
        switch self {
        case .dns: "dns"
        case .connect(let refused): refused ? "refused" : "connect"
        case .addressRefused: "address_refused"
        case .tls: "tls"
        case .timeout: "timeout"
        case .aborted: "aborted"
        case .tooLarge: "too_large"
        case .protocolViolation: "protocol_violation"
        case .cancelled: "cancelled"
        case .invalidRequest: "invalid_request"
        case .overloaded: "overloaded"
        case .closed: "closed"
        }
    }
}
