import HTTPTypes
import Jobs

extension APIError {
    /// What a client is told whose change was waited for and whose job ended without success: by the class of its
    /// last error, with the job in the details.
    static func jobEnded(_ job: JobSnapshot) -> APIError {
        var error = APIError(.conflict, .conflict, job.error?.message ?? "The job ended without success.")
        if let info = job.error, job.state == .failed {
            switch info.errorClass {
            case .conflict: break
            case .permanent: (error.status, error.code) = (.badRequest, .invalidInput)
            case .retryable, .lost, .released, .snoozed, .cancelled:
                (error.status, error.code) =
                    unavailableCodes.contains(info.code)
                    ? (.serviceUnavailable, .serviceUnavailable) : (.badGateway, .litellm)
                error.retry = RetryAdvice(afterSeconds: 30)
            }
        }
        error.details.service = job.upstream == nil ? nil : "litellm"
        error.details.upstreamCode = job.error?.code
        error.details.resource = job.resource?.type
        error.details.id = job.resource?.id
        error.details.job = JobView(job)
        return error
    }

    /// LiteLLM could not be reached or could not work, as opposed to answering nonsense.
    private static let unavailableCodes: Set<String> = [
        "litellm_unreachable", "litellm_timeout", "litellm_db_down", "litellm_rate_limited",
        "litellm_connection_lost", "litellm_client_overloaded",
    ]
}
