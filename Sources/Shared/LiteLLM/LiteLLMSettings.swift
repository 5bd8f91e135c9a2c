/// Where LiteLLM is and how long a call may take.
package struct LiteLLMSettings: Sendable, Equatable {
    /// Base URL without a trailing slash, such as `http://litellm:4000`.
    package var baseURL: String
    /// The master key or another key with the role of a proxy admin.
    package var apiKey: Secret
    /// Total limit of a call (`LITELLM_TIMEOUT`).
    package var timeout: Duration
    /// Total limit of one page of daily activity, whose query is heavy.
    package var usageTimeout: Duration
    /// Limit for name lookup, connect and TLS handshake.
    package var connectTimeout: Duration
    /// The largest answer that is read, in bytes.
    package var maxResponseBytes: Int
    /// Table rows per page of daily activity, 1 to 1000.
    package var usagePageSize: Int
    /// Deployments per page of the model list.
    package var modelPageSize: Int
    /// Pages after which a listing is given up as endless.
    package var maxPages: Int
    /// Value of the header `litellm-changed-by`.
    package var changedBy: String

    /// The usual settings for a base URL and a key. Trailing slashes of the URL are dropped.
    package init(
        baseURL: String, apiKey: Secret, timeout: Duration = .seconds(30), usageTimeout: Duration = .seconds(60),
        connectTimeout: Duration = .seconds(5), maxResponseBytes: Int = 32 << 20, usagePageSize: Int = 1000,
        modelPageSize: Int = 200, maxPages: Int = 10_000, changedBy: String = "litemaas"
    ) {
        self.baseURL = String(baseURL.reversed().drop { $0 == "/" }.reversed())
        self.apiKey = apiKey
        self.timeout = timeout
        self.usageTimeout = usageTimeout
        self.connectTimeout = connectTimeout
        self.maxResponseBytes = maxResponseBytes
        self.usagePageSize = usagePageSize
        self.modelPageSize = modelPageSize
        self.maxPages = maxPages
        self.changedBy = changedBy
    }
}
