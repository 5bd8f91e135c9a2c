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
            userAgent: userAgent, requestId: context.requestId)
    }

    /// The same for whoever calls; a service token has a name and no user.
    func actor(for principal: Principal) -> AuditActor {
        switch principal.subject {
        case .user(let user): actor(for: user)
        case .service(let service):
            AuditActor(
                userId: nil, name: service.name, ipAddress: context.clientAddress, userAgent: userAgent,
                requestId: context.requestId, serviceId: service.requesterId)
        }
    }

    /// As the client named itself, cut to a length that is kept.
    var userAgent: String? {
        request.headers[.userAgent].map { String($0.prefix(Self.userAgentLimit)) }
    }
}

extension AuthenticatedCall {
    /// Who asks, for the audit trail.
    var actor: AuditActor { call.actor(for: principal) }

    /// Who asks, for the job that carries it out.
    var requester: JobRequester { JobRequester(id: principal.id, requestId: context.requestId) }
}
