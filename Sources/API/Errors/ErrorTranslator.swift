import HTTPTypes
import Hummingbird
import Jobs
import NIOCore
import Shared

/// What a client is told about an error. The one place where errors of other layers get a status.
enum ErrorTranslator {
    /// Never carries the text of an error that was not written for clients.
    static func apiError(for error: any Error) -> APIError {
        switch error {
        case let error as APIError: error
        case let error as HTTPError: http(error.status)
        case is NIOTooManyBytesError: http(.contentTooLarge)
        case let error as ProvisioningError: provisioning(error)
        case let error as SubscriptionError: subscription(error)
        case let error as DriftError: drift(error)
        case let error as JobQueueError: queue(error)
        case let error as AdministrationError: administration(error)
        case let error as JobScheduleError: administration(error.administration)
        case let error as PostgresError: database(error)
        case is CancellationError: .unavailable("The server is stopping; send the request again.")
        default: APIError(.internalServerError, .internalError, "The request failed because of an internal error.")
        }
    }

    private static func http(_ status: HTTPResponse.Status) -> APIError {
        switch status {
        case .notFound: APIError(.notFound, .notFound, "There is no such route.")
        case .contentTooLarge: APIError(.contentTooLarge, .payloadTooLarge, "The body is too large.")
        case .badRequest: APIError(.badRequest, .invalidInput, "The request cannot be read.")
        default:
            APIError(status, status.code >= 500 ? .internalError : .invalidInput, "The request cannot be answered.")
        }
    }

    private static func provisioning(_ error: ProvisioningError) -> APIError {
        switch error.code {
        case .batchNotFound, .keyNotFound, .userNotFound, .memberNotFound, .modelNotFound, .retirementNotPlanned:
            APIError(.notFound, .notFound, error.message)
        // Without a field it is what the path names.
        case .teamNotFound where error.field == nil: APIError(.notFound, .notFound, error.message)
        case .userInactive: APIError(.forbidden, .forbidden, error.message)
        case .usernameTaken, .emailTaken, .identityTaken, .modelExists, .teamNameTaken:
            APIError(.conflict, .alreadyExists, error.message, details: ErrorDetails(field: error.field))
        case .roleBeyondOwn:
            APIError(
                .forbidden, .insufficientPermissions, error.message, details: ErrorDetails(field: error.field))
        case .keyInactive: APIError(.badRequest, .invalidInput, error.message)
        case .batchConflict, .ownAccount, .lastAdmin, .keyUnfinished, .modelConflict, .retirementBegun:
            APIError(.conflict, .conflict, error.message, details: ErrorDetails(field: error.field))
        case .defaultTeam, .noConflict: APIError(.conflict, .conflict, error.message)
        case .teamHasKeys, .memberHasKeys:
            APIError(
                .conflict, .conflict, error.message,
                details: ErrorDetails(suggestion: "Revoke these keys first.", resource: "api_key"))
        case .keyLimitReached:
            APIError(
                .badRequest, .invalidInput, error.message,
                details: ErrorDetails(suggestion: "Delete a key that is no longer needed."))
        case .noModels, .unknownModels, .unavailableModels, .notSubscribed, .teamNotFound, .unknownUsers,
            .invalidLimit, .expiryInPast, .invalidModel:
            APIError.validation(error.field ?? "body", .invalid, error.message)
        case .beyondMaximum, .invalidBatch:
            APIError.validation(
                error.violations.map { violation in
                    FieldProblem(
                        field: violation.field, message: violation.message,
                        code: error.code == .beyondMaximum ? .range : .invalid)
                })
        }
    }

    private static func subscription(_ error: SubscriptionError) -> APIError {
        let details = ErrorDetails(field: error.field)
        return switch error.code {
        case .notFound, .modelNotFound, .userNotFound, .modelUnavailable:
            APIError(.notFound, .notFound, error.message, details: details)
        case .exists: APIError(.conflict, .alreadyExists, error.message, details: details)
        case .beyondOwner, .own: APIError(.forbidden, .forbidden, error.message, details: details)
        case .wrongStatus, .invalid: .validation(error.field ?? "body", .invalid, error.message)
        }
    }

    private static func drift(_ error: DriftError) -> APIError {
        switch error.code {
        case .notFound: APIError(.notFound, .notFound, error.message)
        case .ended, .impossible: APIError(.conflict, .conflict, error.message)
        case .unconfirmed, .invalid: .validation(error.field ?? "body", .invalid, error.message)
        }
    }

    private static func queue(_ error: JobQueueError) -> APIError {
        switch error {
        case .notFound(let id): .notFound("job", id: String(id))
        case .protected:
            APIError(
                .conflict, .conflict, error.description,
                details: ErrorDetails(field: "force", suggestion: "Send \"force\": true when that is what you want."))
        case .wrongState, .keyTaken, .dependencyEnded:
            APIError(.conflict, .conflict, error.description)
        case .unknownQueue, .unknownKind, .dependencyWithoutOrder:
            APIError(.internalServerError, .internalError, "The job could not be enqueued.")
        }
    }

    private static func administration(_ error: AdministrationError) -> APIError {
        switch error.code {
        case .notFound:
            APIError(
                .notFound, .notFound, error.message, details: ErrorDetails(resource: error.resource, id: error.id))
        case .conflict:
            APIError(
                .conflict, .conflict, error.message, details: ErrorDetails(resource: error.resource, id: error.id))
        case .protected:
            APIError(
                .conflict, .conflict, error.message,
                details: ErrorDetails(
                    field: error.field, suggestion: "Send \"force\": true when that is what you want.",
                    resource: error.resource, id: error.id))
        case .invalid, .tooBroad: .validation(error.field ?? "body", .invalid, error.message)
        }
    }

    private static func database(_ error: PostgresError) -> APIError {
        switch error.sqlState {
        case "23505": APIError(.conflict, .alreadyExists, "This exists already.")
        case "23503": APIError(.badRequest, .validation, "Something this refers to does not exist.")
        case "23502", "23514": APIError(.badRequest, .validation, "A value is not allowed.")
        case "22021", "22P05": APIError(.badRequest, .validation, "A text holds a character that cannot be stored.")
        case "40001", "40P01", "55P03":
            APIError.busy("Another request is changing the same thing; send it again.", afterSeconds: 1)
        case "57014": timeout
        case "25006": unreachable
        default: databaseFailure(error)
        }
    }

    private static func databaseFailure(_ error: PostgresError) -> APIError {
        if error.isConnectionLoss || error.sqlState?.hasPrefix("53") == true { return unreachable }
        switch error.code {
        case .connection, .poolExhausted, .closed, .cancelled: return unreachable
        case .timeout: return timeout
        case .encode: return APIError(.badRequest, .validation, "A value cannot be stored.")
        case .server, .decode, .transactionAborted, .misuse:
            return APIError(.internalServerError, .database, "The request failed in the database.")
        }
    }

    private static var unreachable: APIError { .unavailable("The database cannot be reached now.") }

    private static var timeout: APIError {
        var error = APIError(.gatewayTimeout, .timeout, "The database did not answer in time.")
        error.retry = RetryAdvice(afterSeconds: 2)
        return error
    }
}
