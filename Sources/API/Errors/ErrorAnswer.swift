import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Shared

/// The one error body of this API. `requestId` stands inside and outside of `error`: two generations of clients
/// look in either place.
struct ErrorAnswer: JSONRepresentable {
    let error: APIError
    let requestId: String
    let correlationId: String?
    let time: Date

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("error") { json in
                json.member("code", error.code.rawValue)
                json.member("message", error.message)
                json.member("statusCode", error.status.code)
                if !error.details.isEmpty { json.member("details", error.details) }
                json.member("requestId", requestId)
                json.member("correlationId", correlationId)
                json.member("timestamp", time)
                if let retry = error.retry {
                    json.member("retry") { json in
                        json.member("retryable", true)
                        json.member("retryAfter", retry.afterSeconds)
                        json.member("maxRetries", retry.maxRetries)
                        json.member("backoffType", "exponential")
                        json.member("jitter", true)
                    }
                }
            }
            json.member("requestId", requestId)
        }
    }

    /// The response, with `Retry-After` where there is something to wait for.
    func response() -> Response {
        var response = Response.json(self, status: error.status)
        for field in error.headers {
            response.headers[field.name] = field.value
        }
        if let retry = error.retry {
            response.headers[.retryAfter] = String(retry.afterSeconds)
        }
        return response
    }
}

extension ErrorDetails: JSONRepresentable {
    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("field", field)
            json.member("suggestion", suggestion)
            json.member("resource", resource)
            json.member("id", id)
            if !validation.isEmpty {
                json.member("validation", validation)
            }
            json.member("service", service)
            json.member("upstreamCode", upstreamCode)
            json.member("job", job)
            json.member("limit", limit)
            json.member("timeWindow", timeWindow)
            json.member("retryAfterMs", retryAfterMs)
            guard let tooLongRange else { return }
            json.member("requestedDays", tooLongRange.days)
            json.member("maxAllowedDays", tooLongRange.longest)
            json.name("suggestedRanges")
            json.array(tooLongRange.suggestions) { json, range in
                json.object { json in
                    json.member("startDate", range.start.description)
                    json.member("endDate", range.end.description)
                }
            }
        }
    }
}

extension FieldProblem: JSONRepresentable {
    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("field", field)
            json.member("message", message)
            json.member("code", code.rawValue)
        }
    }
}

extension Response {
    /// An answer with a JSON body.
    static func json(
        _ value: some JSONRepresentable, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) -> Response {
        json(bytes: JSONWriter.bytes(of: value), status: status, headers: headers)
    }

    /// An answer whose JSON body is written already.
    static func json(
        bytes: [UInt8], status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
    ) -> Response {
        var headers = headers
        headers[.contentType] = "application/json; charset=utf-8"
        headers[.contentLength] = String(bytes.count)
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
