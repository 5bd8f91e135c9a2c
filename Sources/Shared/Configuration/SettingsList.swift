/// The one list of all environment variables. Programs, `.env.example` and `docs/configuration.md` follow it.
///
/// A new setting: a line in one of the `SettingsList+...` files, its entry in `all`, its property in
/// `AppConfiguration`.
package enum SettingsList {
    /// Every variable, in the order of the documentation.
    package static let all: [SettingDefinition] =
        general + server + database + litellm + auth + users + keys + models + worker + usage + limits

    // MARK: General

    static let environment = Setting(
        "APP_ENV", aliases: ["NODE_ENV"], .choice(synonyms: ["dev": .development, "prod": .production]),
        default: AppEnvironment.development, .general, usedBy: ProcessKind.allCases,
        "What kind of installation this is. In `production` the mock sign-in is refused.")
    static let logLevel = Setting(
        "LOG_LEVEL", .choice(synonyms: ["warn": .warning, "fatal": .critical, "silent": .critical]),
        default: LogLevel.info, .general, usedBy: ProcessKind.allCases, "The lowest level that is logged.")
    static let logFormat = Setting(
        "LOG_FORMAT", .choice(), default: LogFormat.json, .general, usedBy: ProcessKind.allCases,
        "`json`: one object per line; `text`: lines for people.")
    static let logOutput = Setting(
        "LOG_OUTPUT", .choice(), default: StandardStreamSink.Stream.standardError, .general,
        usedBy: ProcessKind.allCases, "The stream that logs go to.")
    static let environmentFile = Setting(
        "ENV_FILE", .text, default: ".env", .general, usedBy: ProcessKind.allCases,
        "A file with `NAME=value` lines, read from the working directory if it is there; the environment wins over it. `none` reads no file."
    )

    private static let general = [
        environment.definition, logLevel.definition, logFormat.definition, logOutput.definition,
        environmentFile.definition,
    ]

    // MARK: HTTP server

    static let host = Setting(
        "HOST", .text, default: "0.0.0.0", .server, "The address that the API and the worker's health server listen on."
    )
    static let port = Setting(
        "PORT", .integer(1...65_535), default: 8080, .server, usedBy: [.api], "The port that the API listens on.")
    static let workerPort = Setting(
        "WORKER_PORT", .integer(1...65_535), default: 8090, .server, usedBy: [.worker],
        "The port of the worker's health and metrics.")
    static let publicURL = Setting(
        "PUBLIC_URL", SettingParser<String>.url(schemes: ["http", "https"]).optional, default: nil, .server,
        usedBy: [.api],
        example: "https://litemaas.example.com",
        "How clients reach the API, for links and redirects. Left out: `http://localhost:` and the port.")
    static let corsOrigins = Setting(
        "CORS_ORIGIN", .list(of: "origins such as https://litemaas.example.com", element: origin),
        default: ["http://localhost:3000"], .server, usedBy: [.api], "Origins whose pages may call the API.")

    static let trustedProxies = Setting(
        "TRUSTED_PROXIES", .list(of: "addresses and networks such as 10.0.0.0/8", element: network), default: [],
        .server, usedBy: [.api], example: "10.0.0.0/8,127.0.0.1",
        "Proxies whose `X-Forwarded-For` is believed: a client's address is the last one there that is not one of "
            + "them. Left out: the address of the connection.")
    static let maxConnections = Setting(
        "HTTP_MAX_CONNECTIONS", .integer(1...1_000_000), default: 8192, .server, usedBy: [.api],
        "Connections that the API keeps at once; further ones wait to be accepted.")

    private static let server = [
        host.definition, port.definition, workerPort.definition, publicURL.definition, corsOrigins.definition,
        trustedProxies.definition, maxConnections.definition,
    ]

    // MARK: Checks of list entries

    /// An origin as browsers send it; the star is refused, for the API allows credentials.
    @Sendable private static func origin(_ text: String) throws(SettingRefusal) -> String {
        let url = try SettingParser<String>.url(schemes: ["http", "https"]).parse(text)
        guard url.split(separator: "/").count == 2 else { throw SettingRefusal() }
        return url
    }

    /// An address or a network of addresses.
    @Sendable static func network(_ text: String) throws(SettingRefusal) -> IPNetwork {
        guard let network = IPNetwork(text) else { throw SettingRefusal() }
        return network
    }
}
