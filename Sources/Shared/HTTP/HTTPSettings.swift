/// Settings of a transport.
package struct HTTPSettings: Sendable, Equatable {
    /// A PEM file that takes the place of the system's certificate authorities.
    package var caFile: String?
    /// Whether `http_proxy`, `https_proxy` and `no_proxy` are obeyed. Off, no proxy is ever used.
    package var proxyFromEnvironment: Bool
    /// Requests in flight per scheme, host and port; further ones wait.
    package var maxConnectionsPerHost: Int
    /// Requests in flight altogether; further ones wait.
    package var maxConnections: Int
    /// Requests that may wait; further ones fail with `.overloaded`.
    package var maxWaiting: Int
    /// A connection idle for longer is not used again, whole seconds.
    package var connectionIdleAge: Duration
    /// A connection older than this is not used again, whole seconds: lets load balancers and DNS changes take effect.
    package var connectionMaxAge: Duration
    /// The `User-Agent` header.
    package var userAgent: String
    /// Whether requests are counted and timed through swift-metrics.
    package var metrics: Bool

    /// The usual settings.
    package init(
        caFile: String? = nil, proxyFromEnvironment: Bool = false, maxConnectionsPerHost: Int = 64,
        maxConnections: Int = 128, maxWaiting: Int = 4096, connectionIdleAge: Duration = .seconds(60),
        connectionMaxAge: Duration = .seconds(600), userAgent: String = "litemaas", metrics: Bool = true
    ) {
        self.caFile = caFile
        self.proxyFromEnvironment = proxyFromEnvironment
        self.maxConnectionsPerHost = maxConnectionsPerHost
        self.maxConnections = maxConnections
        self.maxWaiting = maxWaiting
        self.connectionIdleAge = connectionIdleAge
        self.connectionMaxAge = connectionMaxAge
        self.userAgent = userAgent
        self.metrics = metrics
    }
}
