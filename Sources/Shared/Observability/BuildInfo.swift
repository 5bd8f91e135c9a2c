/// What this build is.
package enum BuildInfo {
    /// The product's version, as in the changelog.
    package static let version = "0.1.0"

    /// The language version of the compiler.
    package static var swift: String {
        #if compiler(>=6.4)
            ">=6.4"
        #elseif compiler(>=6.3)
            "6.3"
        #else
            "<6.3"
        #endif
    }

    /// `debug` or `release`.
    package static var configuration: String {
        #if DEBUG
            "debug"
        #else
            "release"
        #endif
    }
}
