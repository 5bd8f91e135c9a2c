import CCurl

/// The transfers of one transport. Its executor is the thread of libcurl's loop, so everything here happens there.
actor CurlCore {
    private struct Waiting {
        let request: HTTPClientRequest
        let origin: String
        let deadline: ContinuousClock.Instant
        let continuation: CheckedContinuation<HTTPClientResponse, any Error>
    }

    private let executor: CurlExecutor
    private let multi: CurlMulti
    private let settings: HTTPSettings
    private let metrics: HTTPClientMetrics?
    private let clock = ContinuousClock()
    private var admission: RequestAdmission
    private var waiting: [UInt64: Waiting] = [:]
    /// Whoever takes a transfer out of here has the right, and the duty, to resume its caller, after counting it.
    private var running: [UInt64: CurlTransfer] = [:]
    private var spare: [CurlEasy] = []
    private var isClosed = false

    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    init(settings: HTTPSettings) {
        let multi = CurlMulti()
        multi.limitConnections(perHost: settings.maxConnectionsPerHost, total: settings.maxConnections)
        let executor = CurlExecutor(multi: multi)
        self.multi = multi
        self.executor = executor
        self.settings = settings
        metrics = settings.metrics ? HTTPClientMetrics() : nil
        admission = RequestAdmission(
            perHost: settings.maxConnectionsPerHost, total: settings.maxConnections,
            maxWaiting: settings.maxWaiting)
        executor.onRound { [weak self] _ in
            self?.assumeIsolated { $0.round() } ?? 1000
        }
    }

    deinit {
        executor.stop()
    }

    func send(_ request: HTTPClientRequest, id: UInt64) async throws -> HTTPClientResponse {
        guard let origin = request.origin else { throw HTTPTransportError.unsendable("no absolute URL") }
        guard !isClosed else { throw Self.refusal(.closed, request, "the transport is shut down") }
        // From here on nothing suspends until the request is in a table, where `cancel` will find it.
        guard !Task.isCancelled else { throw Self.refusal(.cancelled, request, "cancelled") }
        return try await withCheckedThrowingContinuation { begin(id, request, origin, $0) }
    }

    /// Ends a request if it has not ended yet.
    func cancel(_ id: UInt64) {
        if let waiter = waiting.removeValue(forKey: id) {
            admission.withdraw(id: id)
            fail(waiter, .cancelled, "cancelled")
        } else if let transfer = running.removeValue(forKey: id) {
            let error = transfer.interruption(.cancelled, "cancelled")
            metrics?.finished(error: error, duration: transfer.duration)
            retire(transfer, keepsEasy: false)
            transfer.continuation.resume(throwing: error)
        }
    }

    /// Fails whatever waits or runs; later requests are refused.
    func close() {
        isClosed = true
        for (id, waiter) in waiting {
            admission.withdraw(id: id)
            fail(waiter, .closed, "the transport is shut down")
        }
        waiting = [:]
        for transfer in running.values {
            let error = transfer.interruption(.closed, "the transport is shut down")
            metrics?.finished(error: error, duration: transfer.duration)
            multi.remove(transfer.easy)
            transfer.continuation.resume(throwing: error)
        }
        running = [:]
        spare = []
        executor.stop()
    }

    private func begin(
        _ id: UInt64, _ request: HTTPClientRequest, _ origin: String,
        _ continuation: CheckedContinuation<HTTPClientResponse, any Error>
    ) {
        let waiter = Waiting(
            request: request, origin: origin, deadline: clock.now + request.limits.totalTimeout,
            continuation: continuation)
        switch admission.request(id: id, origin: origin) {
        case .start: start(id, waiter)
        case .wait: waiting[id] = waiter
        case .refuse: fail(waiter, .overloaded, "too many requests wait already")
        }
    }

    /// Hands a request to libcurl. It holds its place in `admission` already and gives it back when it ends.
    private func start(_ id: UInt64, _ waiter: Waiting) {
        guard let easy = spare.popLast() ?? CurlEasy() else {
            giveBack(waiter.origin)
            return fail(waiter, .overloaded, "libcurl gives no handle")
        }
        let transfer = CurlTransfer(
            easy: easy, request: waiter.request, origin: waiter.origin, continuation: waiter.continuation)
        do throws(HTTPTransportError) {
            try transfer.configure(id: id, settings: settings, remaining: waiter.deadline - clock.now)
            if let code = multi.add(easy) {
                throw transfer.interruption(.aborted, "libcurl does not take it (\(code.rawValue))")
            }
            running[id] = transfer
        } catch {
            giveBack(waiter.origin)
            waiter.continuation.resume(throwing: error)
        }
    }

    /// One round of the loop; answers how long to wait for the next one at most.
    private func round() -> Int32 {
        if !multi.perform() {
            for id in Array(running.keys) { finish(id, CURLE_FAILED_INIT) }
        }
        while let (id, code) = multi.nextFinished() {
            finish(id, code)
        }
        return expireWaiting()
    }

    private func finish(_ id: UInt64, _ code: CURLcode) {
        guard let transfer = running.removeValue(forKey: id) else { return }
        let duration = transfer.duration
        if code == CURLE_OK, transfer.isHeaderComplete {
            let response = transfer.response()
            metrics?.finished(response: response)
            retire(transfer, keepsEasy: true)
            transfer.continuation.resume(returning: response)
        } else {
            let error = transfer.failure(code == CURLE_OK ? CURLE_GOT_NOTHING : code)
            metrics?.finished(error: error, duration: duration)
            retire(transfer, keepsEasy: true)
            transfer.continuation.resume(throwing: error)
        }
    }

    private func retire(_ transfer: CurlTransfer, keepsEasy: Bool) {
        multi.remove(transfer.easy)
        if keepsEasy, spare.count < settings.maxConnectionsPerHost {
            transfer.easy.reset()
            spare.append(transfer.easy)
        }
        giveBack(transfer.origin)
    }

    private func giveBack(_ origin: String) {
        for id in admission.release(origin: origin) {
            guard let waiter = waiting.removeValue(forKey: id) else {
                giveBack(origin)
                continue
            }
            start(id, waiter)
        }
    }

    private func expireWaiting() -> Int32 {
        let idle: Int32 = running.isEmpty ? 60_000 : 1000
        guard !waiting.isEmpty else { return idle }
        let now = clock.now
        var next = now + .milliseconds(Int64(idle))
        for (id, waiter) in waiting {
            if waiter.deadline <= now {
                waiting[id] = nil
                admission.withdraw(id: id)
                fail(waiter, .timeout, "timed out waiting for a connection")
            } else {
                next = min(next, waiter.deadline)
            }
        }
        return Int32((next - now).inMilliseconds) + 1
    }

    private func fail(_ waiter: Waiting, _ code: HTTPTransportError.Code, _ reason: String) {
        let error = Self.refusal(code, waiter.request, reason)
        metrics?.finished(error: error, duration: .zero)
        waiter.continuation.resume(throwing: error)
    }

    private static func refusal(
        _ code: HTTPTransportError.Code, _ request: HTTPClientRequest, _ reason: String
    ) -> HTTPTransportError {
        HTTPTransportError(code, requestMayHaveReachedServer: false, message: "\(request): \(reason)")
    }
}
