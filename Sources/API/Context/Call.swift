import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1
import Shared

/// One request to one route, with the ways to read its parts. Every reader refuses what it cannot use with an
/// `APIError` that names the field.
struct Call: Sendable {
    private static let blanks = " \t\r\n".utf8

    let request: Request
    let context: APIContext

    /// The query, decoded.
    func query() throws -> QueryFields {
        QueryFields(try QueryParameters(request.uri.query))
    }

    /// A path parameter, decoded; ids of models hold `%2F`.
    func parameter(_ name: String) throws -> String {
        let raw = try context.parameters.require(name)
        guard let text = PercentCoding.decode(raw), !text.isEmpty, text.count <= 255 else {
            throw APIError.validation(name, .format, "must be percent-encoded UTF-8 of at most 255 characters")
        }
        return text
    }

    /// A path parameter that is a UUID.
    func uuid(_ name: String) throws -> UUID {
        guard let id = UUID(uuidString: try parameter(name)) else {
            throw APIError.validation(name, .format, "must be a UUID")
        }
        return id
    }

    /// A path parameter that is the id of a job.
    func jobId(_ name: String) throws -> Int64 {
        guard let id = Int64(try parameter(name)), id > 0 else {
            throw APIError.validation(name, .format, "must be the number of a job")
        }
        return id
    }

    /// The body as read from the wire; at most `APIContext.bodyLimit` bytes.
    func bodyBytes() async throws -> [UInt8] {
        if let length = request.headers[.contentLength].flatMap(Int.init), length > APIContext.bodyLimit {
            throw Self.tooLarge
        }
        do {
            let buffer = try await request.body.collect(upTo: APIContext.bodyLimit)
            return Array(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw Self.tooLarge
        } catch let error as HTTPParserError {
            throw error
        } catch is CancellationError {
            throw APIError.unavailable("The server is stopping; send the request again.")
        } catch {
            throw APIError(.badRequest, .invalidInput, "The body did not arrive completely.")
        }
    }

    /// The body as a JSON object. A missing or blank one counts as `{}`, whatever its content type says.
    func body() async throws -> JSONBody {
        let bytes = try await bodyBytes()
        guard !bytes.allSatisfy({ Self.blanks.contains($0) }) else { return JSONBody(bytes: [], members: [:]) }
        if let type = request.headers[.contentType], !Self.isJSON(type) {
            throw APIError(
                .unsupportedMediaType, .unsupportedMediaType, "The body must be JSON (application/json).")
        }
        do {
            guard case .object(let members) = try JSONParser.parse(bytes) else {
                throw APIError.validation("body", .type, "must be a JSON object")
            }
            return JSONBody(bytes: bytes, members: members)
        } catch let error as JSONSyntaxError {
            throw APIError.validation(
                "body", .format, "is not valid JSON: \(error.reason) (at byte \(error.offset))")
        }
    }

    private static func isJSON(_ contentType: String) -> Bool {
        let type = contentType.prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" }
        return type == "application/json" || (type.hasPrefix("application/") && type.hasSuffix("+json"))
    }

    private static var tooLarge: APIError {
        APIError(
            .contentTooLarge, .payloadTooLarge, "The body is larger than \(APIContext.bodyLimit) bytes.")
    }
}

/// A request body that is a JSON object.
struct JSONBody: Sendable {
    /// As sent; the `Idempotency-Key` binds to these bytes.
    let bytes: [UInt8]
    let members: [String: JSONValue]

    /// A reader of its members.
    var fields: Fields { Fields(members) }
}
