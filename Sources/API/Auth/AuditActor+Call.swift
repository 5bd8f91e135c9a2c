import Hummingbird
import Jobs
import Shared

extension Call {
    /// The longest part of a header that is kept.
    private static let userAgentLimit = 512

    /// `user` as the author of what this request does: from where and in which request.
    func actor(for user: User) -> AuditActor {
        AuditActor(
            userId: user.id, name: user.username, ipAddress: context.clientAddress,
            userAgent: request.headers[.userAgent].map { String($0.prefix(Self.userAgentLimit)) },
            requestId: context.requestId)
    }
}

extension AuthenticatedCall {
    /// Who asks, for the audit trail.
    var actor: AuditActor { call.actor(for: principal.user) }

    /// Who asks, for the job that carries it out.
    var requester: JobRequester { JobRequester(id: principal.id, requestId: context.requestId) }
}
