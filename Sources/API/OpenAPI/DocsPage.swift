import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// The files of the page that shows the description, as shipped with the program. The page needs nothing from
/// anywhere else: no CDN, no fonts, no build.
struct DocsPage: Sendable {
    /// What a file is answered with, by its ending; others are not served.
    private static let contentTypes = [
        "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
    ]

    /// The page runs its own scripts and calls its own server; it reads nothing as HTML and cannot be framed.
    static let securityPolicy = [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src data:",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
    ].joined(separator: "; ")

    private let files: [String: (contentType: String, content: ByteBuffer)]

    /// Reads the files. Throws `OpenAPIError` when they are missing, else what reading them throws.
    static func load() throws -> DocsPage {
        guard let folder = Bundle.module.url(forResource: "docs", withExtension: nil) else {
            throw OpenAPIError(message: "docs is not among the program's resources; build the program again")
        }
        let urls = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        var files: [String: (String, ByteBuffer)] = [:]
        for url in urls {
            guard let contentType = contentTypes[url.pathExtension] else { continue }
            files[url.lastPathComponent] = (contentType, ByteBuffer(bytes: try Data(contentsOf: url)))
        }
        guard files["index.html"] != nil else { throw OpenAPIError(message: "docs lacks index.html") }
        return DocsPage(files: files)
    }

    /// The page, or one of its files; 404 for any other name.
    func answer(_ name: String) throws(APIError) -> Response {
        guard let file = files[name] else { throw .notFound("file", id: name) }
        let headers: HTTPFields = [
            .contentType: file.contentType,
            .contentLength: String(file.content.readableBytes),
            .cacheControl: "no-cache",
            .contentSecurityPolicy: Self.securityPolicy,
        ]
        return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: file.content))
    }
}
