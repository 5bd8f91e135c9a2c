import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Asynchronous contract", .needsDatabase, .hangGuard)
struct AsyncContractTests {
    @Test("a change answers 202 with the resource as it will be, the job and its location")
    func accepted() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            let answer = try await api.createKey(as: user, headers: [.requestId: "req-1"])
            #expect(answer.status == 202)
            let jobId = try #require(answer["job", "id"]?.stringValue)
            #expect(answer.headers[.location] == "/api/v1/jobs/\(jobId)")
            #expect(answer.headers[.preferenceApplied] == nil)
            #expect(answer["isActive"] == true && answer["syncStatus"] == "pending" && answer["revokedAt"] == nil)
            #expect(answer["models"] == ["gpt"] && answer["modelDetails", "0", "contextLength"] == 8192)
            let secret = try #require(answer["key"]?.stringValue)
            #expect(secret.hasPrefix("sk-") && answer["keyPrefix"]?.stringValue == String(secret.prefix(7)))
            #expect(answer["job", "kind"] == "key.create" && answer["job", "attempt"] == 0)
            #expect(answer["job", "errors"] == [])
            #expect(answer["job", "resource", "id"] == answer["id"])

            // The list shows it at once, and the job knows the request.
            let list = try await api.send(.get, "/api/v1/api-keys", as: user)
            #expect(list["data", "0", "id"] == answer["id"] && list["data", "0", "isActive"] == true)
            #expect(list["data", "0", "key"] == nil && list["pagination", "total"] == 1)
            let job = try await api.send(.get, "/api/v1/jobs/\(jobId)", as: user)
            #expect(job["requestId"] == "req-1" && job["requestedBy"]?.stringValue == user.id.text)
            #expect(job["state"] == "blocked" && job["waiting", "reason"] == "waiting_for_jobs")
            let first = try #require(job["waiting", "jobIds", "0"]?.stringValue)
            let provision = try await api.send(.get, "/api/v1/jobs/\(first)", as: user)
            #expect(provision["kind"] == "user.provision")
        }
    }

    @Test("with Prefer the answer waits for the job and is the usual 201")
    func preferred() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            let answer = try await api.createKey(as: user, headers: [.prefer: "respond-async, wait=20"])
            #expect(answer.status == 201)
            #expect(answer.headers[.preferenceApplied] == "wait=20")
            #expect(answer["syncStatus"] == "synced" && answer["job", "state"] == "succeeded")
            let secret = try #require(answer["key"]?.stringValue)
            #expect(api.litellm.state.keys[sha256Hex(secret)] != nil)
            let id = try #require(answer["id"]?.stringValue)
            let detail = try await api.send(.get, "/api/v1/api-keys/\(id)", as: user)
            #expect(
                detail["liteLLMInfo", "models"] == ["gpt"] && detail["liteLLMKeyId"]?.stringValue == sha256Hex(secret))

            let gone = try await api.send(
                .delete, "/api/v1/api-keys/\(id)", [:], as: user, headers: [.prefer: "wait=20"])
            #expect(gone.status == 200 && gone["message"] == "API key deleted" && gone["deletedAt"]?.stringValue != nil)
            #expect(gone["revokedAt"]?.stringValue != nil && gone["job", "kind"] == "key.revoke")
            #expect(try await api.send(.get, "/api/v1/api-keys", as: user)["pagination", "total"] == 0)
            #expect(try await api.send(.get, "/api/v1/api-keys/\(id)", as: user).status == 404)
            #expect(try await api.send(.delete, "/api/v1/api-keys/\(id)", as: user).status == 404)
        }
    }

    @Test("what does not end within the wait is the 202, and nobody else is held up meanwhile")
    func slow() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            api.gate.close()
            // LiteLLM does not answer at all: plain changes and reads do not notice.
            for number in 0..<5 { #expect(try await api.createKey("key \(number)", as: user).status == 202) }
            #expect(try await eventually { api.gate.waitingCount > 0 })
            #expect(try await api.send(.get, "/api/v1/api-keys", as: user)["pagination", "total"] == 5)
            #expect(try await api.send(.get, "/api/v1/health", as: user).status == 200)
            let answer = try await api.createKey("waits", as: user, headers: [.prefer: "wait=1"])
            #expect(answer.status == 202 && answer.headers[.preferenceApplied] == nil)
            #expect(answer["job", "state"] == "blocked")
            api.gate.open()
            try await api.wait(for: answer["job", "id"]?.stringValue, "succeeded")
        }
    }

    @Test("a permanent failure within the wait is 400 with the job in the details; the key stays, failed and inactive")
    func permanentFailure() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            api.litellm.fail(
                "/key/generate",
                .answer(
                    403,
                    ["error": ["message": "Custom API key values are disabled by your administrator", "code": "403"]]))
            let answer = try await api.createKey(as: user, headers: [.prefer: "wait=20"])
            #expect(answer.status == 400, "\(answer.text)")
            #expect(answer.headers[.preferenceApplied] == "wait=20")
            #expect(answer["error", "details", "upstreamCode"] == "custom_keys_disabled")
            #expect(answer["error", "details", "service"] == "litellm")
            #expect(answer["error", "details", "job", "state"] == "failed")
            #expect(answer["error", "details", "job", "errors", "0", "class"] == "permanent")
            #expect(answer["error", "details", "resource"] == "api_key")
            let id = try #require(answer["error", "details", "id"]?.stringValue)
            let key = try await api.send(.get, "/api/v1/api-keys/\(id)", as: user)
            #expect(key["syncStatus"] == "failed" && key["isActive"] == false)
            #expect(key["syncError", "code"] == "custom_keys_disabled")
            // Health names it, with what to do.
            let health = try await api.send(.get, "/api/v1/health")
            #expect(health.status == 200 && health["status"] == "degraded")
            #expect(health["problems", "0", "code"] == "custom_keys_disabled" && health["problems", "0", "jobs"] == 1)
            // An admin brings it back once that is mended.
            let admin = try await api.addAdmin()
            let job = try #require(answer["error", "details", "job", "id"]?.stringValue)
            let retried = try await api.send(
                .post, "/api/v1/jobs/\(job)/retry", as: admin, headers: [.prefer: "wait=20"])
            #expect(retried.status == 200 && retried["job", "state"] == "succeeded")
            #expect(try await api.send(.get, "/api/v1/health")["status"] == "healthy")
        }
    }

    @Test("a conflict within the wait is 409")
    func conflict() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            // LiteLLM knows the address as somebody else's.
            api.litellm.change { $0.users["other"] = ["user_id": "other", "user_email": "bob@example.com"] }
            let body: JSONValue = ["username": "bob", "email": "bob@example.com"]
            let answer = try await api.send(
                .post, "/api/v1/admin/users", body, as: admin, headers: [.prefer: "wait=20"])
            #expect(answer.status == 409 && answer.errorCode == "CONFLICT", "\(answer.text)")
            #expect(answer["error", "details", "upstreamCode"] == "user_email_taken")
            #expect(answer["error", "details", "job", "error", "class"] == "conflict")
            #expect(answer["error", "retry"] == nil)
        }
    }

    @Test(
        "the class and code of a failed job decide the status",
        arguments: [
            (JobErrorClass.conflict, "alias_conflict", 409), (.permanent, "invalid_limit", 400),
            (.retryable, "litellm_unreachable", 503), (.retryable, "litellm_db_down", 503),
            (.retryable, "litellm_timeout", 503), (.retryable, "litellm_server_error", 502),
            (.retryable, "litellm_bad_response", 502), (.lost, "lease_lost", 502),
        ] as [(JobErrorClass, String, Int)])
    func statuses(_ errorClass: JobErrorClass, _ code: String, _ status: Int) async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let answer = try await api.send(.post, "/api/v1/models/sync", as: admin)
            let id = try #require(answer["job", "id"]?.stringValue.flatMap { Int64($0) })
            try await api.database.client.query("update jobs set state = 1, token = 1 where id = \(id)")
            _ = try await api.queue.end(
                jobId: id, token: 1, as: .failed,
                error: JobErrorInfo(errorClass: errorClass, code: code, message: "It did not work."), by: nil,
                attempted: true)
            let job = try #require(try await api.queue.job(id: id))
            let error = APIError.jobEnded(job)
            #expect(error.status.code == status)
            #expect(error.message == "It did not work." && error.details.upstreamCode == code)
            #expect((error.retry != nil) == (status >= 500))
        }
    }

    @Test("a cancelled job within the wait is 409")
    func cancelled() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            let headers: HTTPFields = [.idempotencyKey: "one"]
            let first = try await api.createKey(as: user, headers: headers)
            let id = try #require(first["job", "id"]?.stringValue.flatMap { Int64($0) })
            try await api.queue.cancel(id: id, by: "root")
            let answer = try await api.createKey(as: user, headers: [.idempotencyKey: "one", .prefer: "wait=5"])
            #expect(answer.status == 409 && answer["error", "details", "job", "state"] == "cancelled")
            #expect(answer["error", "message"] == "Cancelled by root.")
        }
    }

    @Test("beyond the limit of waiters the answer comes at once")
    func bounded() async throws {
        try await APIHarness.run {
            $0.waiterLimit = 0
        } _: { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            let answer = try await api.createKey(as: user, headers: [.prefer: "wait=30"])
            #expect(answer.status == 202 && answer.headers[.preferenceApplied] == nil)
        }
    }
}
