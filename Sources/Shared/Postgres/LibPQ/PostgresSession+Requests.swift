import Synchronization

extension PostgresSession {
    // MARK: Starting

    func accept(_ request: PostgresRequest, _ continuation: PostgresContinuation) {
        guard connection != nil else {
            let error = endReason ?? PostgresError(.closed, "the connection is closed")
            continuation.resume(returning: .failure(error))
            return
        }
        guard !request.isCancelled.load(ordering: .relaxed) else {
            continuation.resume(returning: .failure(PostgresCancelReason.task.error(limit: nil)))
            return
        }
        if case .statements(let queries, _, _, _) = request.work {
            if let problem = queries.lazy.compactMap(\.parameters.problem).first {
                continuation.resume(returning: .failure(PostgresError(.encode, problem)))
                return
            }
            guard !queries.isEmpty else {
                continuation.resume(returning: .success([]))
                return
            }
        }
        let deadline = request.timeout.map { ContinuousClock.now + $0 }
        waiting.append(Waiting(request: request, continuation: continuation, deadline: deadline))
        startNext()
    }

    private func startNext() {
        guard active == nil, connection != nil, !waiting.isEmpty else { return }
        let next = waiting.removeFirst()
        active = Active(request: next.request, continuation: next.continuation, deadline: next.deadline)
        if let deadline = next.deadline { arm(deadline) }
        send(next.request)
    }

    private func send(_ request: PostgresRequest) {
        guard let connection else { return }
        let wasSent =
            switch request.work {
            case .statements(let queries, let hidden, let opening, let announcement):
                sendStatements(
                    queries, hidden: hidden, opening: opening, announcement: announcement, on: connection)
            case .script(let sql): connection.exitPipeline() && connection.sendScript(sql)
            case .copyIn(let sql): connection.exitPipeline() && connection.sendScript(sql)
            }
        guard wasSent else {
            // Nothing is known about how much of it reached the server.
            if connection.isBroken { _ = connection.consumeInput() }
            if active != nil { end(connection.lastError) }
            return
        }
        flush()
    }

    private func sendStatements(
        _ queries: [PostgresQuery], hidden: Int, opening: PostgresOpening?, announcement: PostgresAnnouncement?,
        on connection: LibPQConnection
    ) -> Bool {
        var steps: [PostgresStep] = []
        steps.reserveCapacity(queries.count + 1)
        defer { active?.steps = steps }
        active?.rows.reserveCapacity(queries.count)
        if let opening, !opening.isSent.exchange(true, ordering: .relaxed) {
            for query in opening.queries {
                guard send(query, isReturned: false, on: connection, &steps) else { return false }
            }
        }
        for (index, query) in queries.enumerated() {
            guard send(query, isReturned: index >= hidden, on: connection, &steps) else { return false }
        }
        // Last: some statements, such as CREATE DATABASE, have to be the first of their round trip.
        if !staleNames.isEmpty, !connection.hasFailedTransaction {
            for name in staleNames {
                steps.append(.deallocate(name: name))
                guard connection.sendQuery(PostgresQuery(trusted: "deallocate \(name)")) else { return false }
            }
            staleNames = []
        }
        guard connection.sync() else { return false }
        guard let announcement else { return true }
        active?.announcement = announcement
        return send(announcement.query, isReturned: false, on: connection, &steps) && connection.sync()
    }

    private func send(
        _ query: PostgresQuery, isReturned: Bool, on connection: LibPQConnection, _ steps: inout [PostgresStep]
    ) -> Bool {
        guard options.statementCacheSize > 0 else {
            steps.append(.run(isReturned: isReturned))
            return connection.sendQuery(query)
        }
        let key = PostgresStatementKey(query)
        let kept: String
        switch statements.use(key) {
        case .kept(let name):
            kept = name
        case .new(let name, let evicted):
            if let evicted { staleNames.append(evicted) }
            steps.append(.prepare(key))
            guard connection.sendPrepare(name: name, query) else { return false }
            kept = name
        }
        steps.append(.run(isReturned: isReturned))
        return connection.sendPrepared(name: kept, query.parameters)
    }

    // MARK: Receiving

    /// Takes all results that have arrived.
    func receive() {
        while let connection, let active, !active.isDrained, !active.isCopying, !connection.isBusy {
            let result = connection.nextResult()
            // A lost connection has no further results; the caller ends the session.
            guard result != nil || !connection.isBroken else { return }
            if case .statements = active.request.work {
                receive(result, inPipeline: active)
            } else {
                receive(result, outsidePipeline: active, on: connection)
            }
        }
    }

    private func receive(_ result: LibPQResult?, outsidePipeline active: Active, on connection: LibPQConnection) {
        if let result {
            if result.status == .copyIn, case .copyIn = active.request.work, let start = active.continuation {
                active.isCopying = true
                active.continuation = nil
                start.resume(returning: .success([]))
            } else if result.status == .success {
                active.rows.append(PostgresRows(result))
            } else {
                note(result, for: active)
            }
            return
        }
        guard connection.enterPipeline() else {
            end(PostgresError(.connection, "the connection could not go on after a script"))
            return
        }
        active.isDrained = true
        finishIfDone()
    }

    private func receive(_ result: LibPQResult?, inPipeline active: Active) {
        guard let result else {
            active.position += 1
            if active.position > active.steps.count {
                end(PostgresError(.connection, "the server's answers do not match what was sent"))
            }
            return
        }
        let status = result.status
        if status == .sync {
            if active.announcement != nil, !active.isAnnouncing {
                active.isAnnouncing = true
                // An error may lead to another attempt; success can be told at once.
                if active.error == nil { active.continuation.take()?.resume(returning: active.outcome) }
                return
            }
            active.isDrained = true
            finishIfDone()
            return
        }
        guard active.position < active.steps.count else { return }
        let isSuccess = status == .success
        switch active.steps[active.position] {
        case .deallocate(let name):
            if !isSuccess { staleNames.append(name) }
        case .prepare(let key):
            if !isSuccess { _ = statements.forget(key) }
        case .run(let isReturned):
            if isSuccess, isReturned { active.rows.append(PostgresRows(result)) }
        }
        guard !isSuccess else { return }
        if active.isAnnouncing {
            announcementFailed(result, of: active)
        } else {
            note(result, for: active)
        }
    }

    private func announcementFailed(_ result: LibPQResult, of active: Active) {
        guard result.status == .failure, let announcement = active.announcement else { return }
        let error = result.error
        if error.isStaleStatement { _ = statements.forget(PostgresStatementKey(announcement.query)) }
        announcement.onFailure(error)
    }

    private func note(_ result: LibPQResult, for active: Active) {
        guard active.error == nil else { return }
        switch result.status {
        case .failure: active.error = result.error
        case .skipped, .success, .sync: break
        case .copyIn, .unexpected:
            active.error = PostgresError(.misuse, "COPY and replication commands cannot be run as a query")
            end(active.error)
        }
    }

    /// Hands the outcome over when all results are in and no cancel request is under way any more, which could
    /// otherwise hit whatever runs next on this connection.
    func finishIfDone() {
        guard let active, active.isDrained else { return }
        if case .sending = active.cancellation { return }
        guard let error = active.error else {
            complete(active.outcome)
            return
        }
        if error.isStaleStatement, retryWithoutStaleStatements(active) { return }
        if case .sent(let reason) = active.cancellation, error.sqlState == "57014" {
            complete(.failure(reason.error(limit: active.request.timeout)))
        } else {
            complete(active.outcome)
        }
    }

    /// After a change of schema the server refuses kept plans. Outside a transaction nothing has taken effect then, and
    /// the same statements can be sent again; inside one, its owner has to begin anew.
    private func retryWithoutStaleStatements(_ active: Active) -> Bool {
        guard case .statements(let queries, _, let opening, _) = active.request.work, let connection else {
            return false
        }
        for query in queries + (opening?.queries ?? []) {
            if let name = statements.forget(PostgresStatementKey(query)), active.error?.sqlState != "26000" {
                staleNames.append(name)
            }
        }
        guard !active.wasRetried, !connection.isInTransaction, case .none = active.cancellation else { return false }
        opening?.isSent.store(false, ordering: .relaxed)
        active.wasRetried = true
        active.isDrained = false
        active.isAnnouncing = false
        active.position = 0
        active.rows = []
        active.error = nil
        send(active.request)
        return true
    }

    /// Ends the active request and starts the next one.
    private func complete(_ outcome: PostgresOutcome) {
        guard let finished = active else { return }
        active = nil
        if let connection {
            condition.store(connection.isInTransaction ? .inTransaction : .ready, ordering: .relaxed)
        }
        finished.continuation?.resume(returning: outcome)
        startNext()
    }
}
