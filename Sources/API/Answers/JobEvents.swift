import HTTPTypes
import Hummingbird
import Jobs
import NIOCore
import Shared

/// A job's changes as server-sent events: `event: job` with the job, now and whenever it changes, until it has ended.
struct JobEvents: Sendable {
    /// Below the idle limits of common proxies.
    private static let heartbeat: Duration = .seconds(15)
    /// A client that still wants to know after that many heartbeats comes back by itself.
    private static let heartbeats = 40
    /// What a client waits before it comes back.
    private static let reconnectMilliseconds = 2000

    private enum Item: Sendable {
        case job(JobSnapshot)
        case heartbeat
    }

    /// The job as it is now.
    let job: JobSnapshot
    let waiters: JobWaiters

    func response() -> Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "text/event-stream", .cacheControl: "no-store",
                // Proxies that buffer answers would keep the events back.
                .known("X-Accel-Buffering"): "no",
            ],
            body: ResponseBody { writer in
                try await writer.write(ByteBuffer(string: "retry: \(Self.reconnectMilliseconds)\n\n"))
                // Too many follow jobs already: the client gets the job as it is and comes back.
                if let changes = job.state.isFinal ? nil : waiters.changes(of: job.id) {
                    for await item in Self.items(changes) {
                        try await writer.write(Self.bytes(of: item))
                    }
                } else {
                    try await writer.write(Self.bytes(of: .job(job)))
                }
                try await writer.finish(nil)
            })
    }

    /// The job's changes with signs of life between them; ends with the job, or when the time is over.
    private static func items(_ changes: AsyncThrowingStream<JobSnapshot, any Error>) -> AsyncStream<Item> {
        AsyncStream { continuation in
            let task = Task {
                await withTaskGroup { group in
                    group.addTask {
                        do {
                            for try await job in changes { continuation.yield(.job(job)) }
                        } catch {
                            // The stream ends; the client comes back and is told what is wrong.
                        }
                    }
                    group.addTask {
                        for _ in 0..<heartbeats {
                            do { try await Task.sleep(for: heartbeat) } catch { return }
                            continuation.yield(.heartbeat)
                        }
                    }
                    await group.next()
                    group.cancelAll()
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private static func bytes(of item: Item) -> ByteBuffer {
        switch item {
        case .heartbeat: return ByteBuffer(string: ": alive\n\n")
        case .job(let job):
            var buffer = ByteBuffer(string: "event: job\ndata: ")
            // The JSON has no line breaks, so it is one line of data.
            buffer.writeBytes(JSONWriter.bytes(of: JobView(job)))
            buffer.writeString("\n\n")
            return buffer
        }
    }
}
