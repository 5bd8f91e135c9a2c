import Hummingbird
import Logging
import NIOCore

/// What travels with a request.
struct APIContext: RequestContext {
    /// The largest request body, in bytes.
    static let bodyLimit = 1024 * 1024

    var coreContext: CoreRequestContextStorage
    /// Set by `RequestScope` before anything else runs.
    var requestId = ""
    /// The client's own id, when it is a UUID of version 4.
    var correlationId: String?
    /// The peer's address as the socket shows it.
    let clientAddress: String?
    let record = RequestRecord()

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        clientAddress = source.channel.remoteAddress?.ipAddress
    }

    var maxUploadSize: Int { Self.bodyLimit }
}
