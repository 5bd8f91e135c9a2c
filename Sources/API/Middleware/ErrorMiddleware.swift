import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOHTTP1

/// The innermost layer: turns whatever a handler throws into the one error body, so that nothing leaves this API as
/// a bare status.
struct ErrorMiddleware: RouterMiddleware {
    typealias Context = APIContext

    private static let uriLimit = 8192

    func handle(
        _ request: Request, context: APIContext,
        next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        do {
            guard request.uri.string.utf8.count <= Self.uriLimit else {
                throw APIError(.uriTooLong, .uriTooLong, "The URI is longer than \(Self.uriLimit) bytes.")
            }
            return try await next(request, context)
        } catch let error as HTTPParserError {
            // What is no HTTP any more in the middle of a body: the server answers it and closes the connection.
            throw error
        } catch {
            let answer = ErrorTranslator.apiError(for: error)
            if answer.status.code >= 500 {
                context.logger.error(
                    "a request failed", metadata: ["code": .string(answer.code.rawValue), "error": "\(error)"])
            }
            context.record.errorCode = answer.code.rawValue
            return ErrorAnswer(
                error: answer, requestId: context.requestId, correlationId: context.correlationId, time: Date()
            ).response()
        }
    }
}
