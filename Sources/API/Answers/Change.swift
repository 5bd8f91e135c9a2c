import Jobs
import Shared

/// The members of a resource, without the braces: answers add others beside them. Never holds a secret.
protocol ResourceBody: Sendable {
    func writeMembers(to json: inout JSONWriter)
}

/// What a request has changed, and the job that carries it to LiteLLM.
struct Change: Sendable {
    /// What is wanted now, in its LiteMaaS shape.
    var resource: any ResourceBody
    /// Nil when there is nothing left to do in LiteLLM.
    var job: JobView?
    /// A key's secret: shown in this answer, stored in none.
    var secret: Secret?

    init(resource: any ResourceBody, job: JobView?, secret: Secret? = nil) {
        self.resource = resource
        self.job = job
        self.secret = secret
    }
}

/// The body of the answer to a change.
struct ChangeBody: JSONRepresentable {
    let resource: any ResourceBody
    let job: JobView?
    var secret: Secret?
    var secretMember = "key"
    /// A sentence for the person who reads the answer.
    var notice: String?

    func write(to json: inout JSONWriter) {
        json.object { json in
            resource.writeMembers(to: &json)
            json.member(secretMember, secret?.reveal())
            json.member("notice", notice)
            json.member("job", job)
        }
    }
}

/// A resource as it was answered the first time.
struct StoredResource: ResourceBody {
    let members: [String: JSONValue]

    func writeMembers(to json: inout JSONWriter) {
        for (name, value) in members.sorted(by: { $0.key < $1.key }) where name != "job" {
            json.member(name, value)
        }
    }
}

/// A resource that is only a sentence.
struct Message: ResourceBody {
    let text: String

    init(_ text: String) { self.text = text }

    func writeMembers(to json: inout JSONWriter) {
        json.member("message", text)
    }
}
