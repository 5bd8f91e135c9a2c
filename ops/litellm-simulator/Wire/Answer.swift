/// One HTTP answer, complete in memory.
struct Answer: Sendable {
    var status: Int
    var headers: [(name: String, value: String)] = []
    var contentType = "application/json"
    var body: [UInt8]

    /// A JSON answer.
    init(_ json: JSON, status: Int = 200, headers: [(name: String, value: String)] = []) {
        self.status = status
        self.headers = headers
        body = Array(json.text.utf8)
    }

    /// An answer of any content.
    init(status: Int, contentType: String, body: [UInt8], headers: [(name: String, value: String)] = []) {
        self.status = status
        self.headers = headers
        self.contentType = contentType
        self.body = body
    }
}

/// What becomes of a request: an answer, or none at all.
enum Outcome: Sendable {
    /// The answer is sent.
    case answer(Answer)
    /// The head and half of the body are sent, then the connection is closed.
    case cut(Answer)
    /// The connection is closed without an answer, for this reason.
    case dropped(String)
}
