import Shared

extension PostgresJobStore {
    /// Who asked for a job that has not been moved out yet; nobody when there is none.
    func requester(ofLive jobId: Int64, in executor: any PostgresExecutor) async throws -> JobRequester {
        let row = try await executor.query("select requester_id, request_id from jobs where id = \(jobId)").first
        guard let row else { return JobRequester(id: nil) }
        let (id, requestId) = try row.decode(String?.self, String?.self)
        return JobRequester(id: id, requestId: requestId)
    }
}
