import Hummingbird
import Logging
import NIOCore
import Shared

/// What travels with a request.
struct APIContext: RequestContext {
    /// The largest request body, in bytes.
    static let bodyLimit = 1024 * 1024

    var coreContext: CoreRequestContextStorage
    /// Set by `RequestScope` before anything else runs.
    var requestId = ""
    /// The client's own id, when it is a UUID of version 4.
    var correlationId: String?
    /// Where the request comes from: the connection's peer, until `RequestScope` has looked behind trusted proxies.
    var clientIP: IPAddress?
    let record = RequestRecord()

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        clientIP = source.channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) }
    }

    /// `clientIP` in writing.
    var clientAddress: String? { clientIP?.description }

    var maxUploadSize: Int { Self.bodyLimit }
}
