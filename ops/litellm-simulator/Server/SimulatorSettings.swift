import Foundation

/// How a simulator behaves; fixed at start.
struct SimulatorSettings: Sendable {
    /// The admin key, for LiteLLM's endpoints and for `/_sim`.
    let masterKey: String
    /// False: an explicit `key` in /key/generate is refused with 403.
    let allowsCustomKeys: Bool
    /// Seeds the dice of faults with a percentage.
    let seed: UInt64
    /// The LiteLLM behind the proxy; nil for the simulator's own state.
    let upstream: Upstream?
    let callLogFile: String?

    /// Where another LiteLLM listens.
    struct Upstream: Sendable {
        let host: String
        let port: Int
        /// Put before every path, without a slash at the end.
        let prefix: String

        /// - Throws: ``SettingsError`` when `text` is no plain `http` URL.
        init(_ text: String) throws {
            guard let url = URLComponents(string: text), url.scheme == "http", let host = url.host, !host.isEmpty else {
                throw SettingsError("--upstream wants an http:// URL such as http://127.0.0.1:4000")
            }
            self.host = host
            port = url.port ?? 80
            prefix = url.path.hasSuffix("/") ? String(url.path.dropLast()) : url.path
        }
    }
}

/// A setting the simulator cannot start with; the description says what to change.
struct SettingsError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
