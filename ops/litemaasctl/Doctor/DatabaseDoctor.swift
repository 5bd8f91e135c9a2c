import Foundation
import Jobs
import Logging
import Shared

/// Looks at the database and at what it knows of the jobs.
struct DatabaseDoctor: Sendable {
    let configuration: AppConfiguration
    let limit: Duration
    let store = PostgresDoctorStore()

    /// All findings; without a database there is only one.
    func look() async -> [Finding] {
        let logger = Logger(label: "litemaasctl") { _ in SwiftLogNoOpLogHandler() }
        var settings = configuration.database
        settings.leaseTimeout = min(settings.leaseTimeout, .seconds(5))
        settings.applicationName = "litemaasctl-doctor"
        // A pooler that nobody declared would mix them up before it is found.
        settings.preparedStatements = false
        let client = PostgresClient(settings: settings, logger: logger)
        let findings = await look(client, logger)
        await client.close()
        return findings
    }

    private func look(_ client: PostgresClient, _ logger: Logger) async -> [Finding] {
        let server: PostgresDoctorStore.Server
        let sentAt = ContinuousClock.now
        do {
            server = try await store.server(in: client)
        } catch {
            return [
                .bad(
                    "database", "It does not answer: \(error).",
                    fix: "Check DATABASE_URL, the server, and the network between.")
            ]
        }
        let asked = ContinuousClock.now - sentAt
        var findings = [database(server), clock(server, asked: asked)]
        findings += await looks("pooler") { [try await pooler(client)] }
        let version = await looks("schema") { [try await schema(client)] }
        findings += version
        guard version.allSatisfy({ $0.level != .bad }) else { return findings }
        findings += await looks("autovacuum") { try await autovacuum(client, server) }
        findings += await looks("transactions") { try await transactions(client, server) }
        findings += await looks("partitions") { try await partitions(client) }
        findings += await looks("notifications") { [try await notifications(client, logger)] }
        let jobs = JobsDoctor(client: client)
        findings += await looks("breakers") { try await jobs.breakers() }
        findings += await looks("workers") { try await jobs.workers() }
        findings += await looks("queues") { try await jobs.queues() }
        findings += await looks("jobs") { try await jobs.stuck() }
        findings += await looks("failed jobs") { try await jobs.deadLetters() }
        findings += await looks("alerts") { try await jobs.alerts() }
        return findings
    }

    /// A look that fails is a finding as well, and does not keep the others from looking.
    private func looks(_ check: String, _ body: () async throws -> [Finding]) async -> [Finding] {
        do {
            return try await body()
        } catch {
            return [
                .bad(check, "It could not be looked at: \(error).", fix: "Check the rights of the database's account.")
            ]
        }
    }

    // MARK: Server

    private func database(_ server: PostgresDoctorStore.Server) -> Finding {
        if server.isStandby {
            return .bad(
                "database", "DATABASE_URL leads to a standby, which cannot write.",
                fix: "Let it name the primary, for example with target_session_attrs=read-write.")
        }
        if server.connections * 10 > server.maxConnections * 8 {
            return .warn(
                "database", "\(server.connections) of \(server.maxConnections) connections are taken.",
                fix: "Raise max_connections, lower DATABASE_POOL_SIZE, or put a pooler in front.")
        }
        return .ok(
            "database",
            "PostgreSQL \(server.versionText), \(server.connections) of \(server.maxConnections) connections taken.")
    }

    private func clock(_ server: PostgresDoctorStore.Server, asked: Duration) -> Finding {
        let offset = server.now.timeIntervalSince(Date(timeIntervalSinceNow: -asked.inSeconds / 2))
        let words = "The database's clock is \(String(format: "%+.3f", offset)) s from this machine's."
        // What the way there and back leaves open cannot be told from a difference.
        let difference = max(0, abs(offset) - asked.inSeconds / 2)
        let fix = "Mend time synchronisation (NTP) here or there. Jobs go by the database's clock, tokens do not."
        return difference > 30
            ? .bad("clock", words, fix: fix)
            : difference > 1 ? .warn("clock", words, fix: fix) : .ok("clock", words)
    }

    /// Two connections that are open at the same time share a server process only behind a pooler that gives it back
    /// after each transaction.
    private func pooler(_ client: PostgresClient) async throws -> Finding {
        let isPooled = try await client.withConnection { first in
            let one = try await store.backend(in: first)
            return try await client.withConnection { try await store.backend(in: $0) } == one
        }
        let settings = configuration.database
        switch (settings.poolMode, isPooled) {
        case (.session, true):
            return .bad(
                "pooler", "DATABASE_URL leads to a pooler in transaction mode, and nobody told the programs.",
                fix: "Set DATABASE_POOL_MODE=transaction, and DATABASE_DIRECT_URL to the server itself.")
        case (.session, false): return .ok("pooler", "None, or one in session mode.")
        case (.transaction, true): return .ok("pooler", "In transaction mode, as configured.")
        case (.transaction, false):
            return .ok("pooler", "DATABASE_POOL_MODE=transaction; no such pooler was noticed just now.")
        }
    }

    private func schema(_ client: PostgresClient) async throws -> Finding {
        do {
            try await Migrator.requireCurrent(client: client, atLeast: SchemaVersion.required)
            return .ok("schema", "At version \(SchemaVersion.required) or later, as this build needs.")
        } catch let error as MigrationError {
            return .bad("schema", "\(error)", fix: "Run `litemaasctl migrate up`.")
        }
    }

    // MARK: Vacuum

    private func autovacuum(_ client: PostgresClient, _ server: PostgresDoctorStore.Server) async throws -> [Finding] {
        guard server.autovacuum, server.trackCounts else {
            return [
                .bad(
                    "autovacuum", "The server has autovacuum or track_counts off: dead rows stay, claims get slow.",
                    fix: "Set both on in postgresql.conf and reload.")
            ]
        }
        let tables = try await store.hotTables(in: client)
        let findings = tables.compactMap { table -> Finding? in
            if table.options.contains("autovacuum_enabled=false") {
                return .bad(
                    "autovacuum", "It is off for the table \(table.name).",
                    fix: "Run: alter table \(table.name) reset (autovacuum_enabled)")
            }
            if table.name == "jobs", !table.options.contains("autovacuum_vacuum_cost_delay=0") {
                return .warn(
                    "autovacuum", "The table jobs lost its own settings; the server's are too slow for a queue.",
                    fix:
                        "Run: alter table jobs set (autovacuum_vacuum_cost_delay = 0, autovacuum_vacuum_scale_factor = 0.02)"
                )
            }
            guard table.dead > max(100_000, table.live) else { return nil }
            return .warn(
                "autovacuum", "\(table.name) holds \(table.dead) dead rows beside \(table.live) live ones.",
                fix: "See the line transactions for what holds them; else run `vacuum \(table.name)`.")
        }
        let dead = tables.reduce(0) { $0 + $1.dead }
        return findings.isEmpty ? [.ok("autovacuum", "On for the hot tables, which hold \(dead) dead rows.")] : findings
    }

    private func transactions(
        _ client: PostgresClient, _ server: PostgresDoctorStore.Server
    ) async throws -> [Finding] {
        let holders = try await store.holders(in: client)
        let findings = holders.compactMap(finding)
        guard findings.isEmpty else { return findings }
        let oldest = holders.compactMap(\.seconds).max() ?? 0
        let blind = server.seesAll ? "" : " Sessions of other accounts are hidden (grant pg_read_all_stats)."
        return [.ok("transactions", "The oldest has been open for \(Duration.seconds(oldest).words).\(blind)")]
    }

    private func finding(_ holder: PostgresDoctorStore.Holder) -> Finding? {
        let held = holder.xminAge ?? 0
        switch holder.sort {
        case "slot":
            guard held > 1_000_000 else { return nil }
            return .warn(
                "transactions",
                "The replication slot \(holder.name) (\(holder.state)) holds \(held) transactions back.",
                fix: "Let its reader catch up, or drop it: select pg_drop_replication_slot('\(holder.name)')")
        case "prepared":
            guard let seconds = holder.seconds, seconds > 60 else { return nil }
            return .warn(
                "transactions",
                "The prepared transaction \(holder.name) has been open for \(Duration.seconds(seconds).words).",
                fix: "Decide it: rollback prepared '\(holder.name)'")
        default:
            guard let seconds = holder.seconds, seconds > 60 else { return nil }
            let words =
                "Session \(holder.name) of \(holder.user), \(holder.state), has had a transaction open for "
                + "\(Duration.seconds(seconds).words); vacuum cannot remove what died since."
            let pid = holder.name.prefix { $0.isNumber }
            let fix = "End it where it comes from, or: select pg_terminate_backend(\(pid))"
            return seconds > 600 ? .bad("transactions", words, fix: fix) : .warn("transactions", words, fix: fix)
        }
    }

    // MARK: Partitions and notifications

    private func partitions(_ client: PostgresClient) async throws -> [Finding] {
        let tables = try await PostgresFleetStore().partitions(in: client)
        let findings = tables.flatMap { table -> [Finding] in
            var found: [Finding] = []
            if table.daysAhead < 2 {
                found.append(
                    .warn(
                        "partitions", "\(table.table) has partitions for \(max(0, Int(table.daysAhead))) more days.",
                        fix: "Workers make them once an hour: start one, or read its log."))
            }
            if table.strays > 0 {
                found.append(
                    .warn(
                        "partitions", "\(table.table) has rows (\(table.strays) or more) outside of its partitions.",
                        fix: "A worker's next care moves them within an hour; its log says if it cannot."))
            }
            return found
        }
        guard findings.isEmpty else { return findings }
        let least = tables.map(\.daysAhead).min() ?? 0
        return [.ok("partitions", "There for at least \(Int(least)) more days.")]
    }

    private func notifications(_ client: PostgresClient, _ logger: Logger) async throws -> Finding {
        let channel = "litemaas_doctor_\(UInt32.random(in: .min ... .max))"
        let listener = PostgresListener(settings: configuration.database, channels: [channel], logger: logger)
        let events = listener.events()
        let sentAt = ContinuousClock.now
        let arrived = await withTaskGroup(of: Bool?.self) { group in
            group.addTask {
                // Ends with the cancellation below.
                do { try await listener.run() } catch { return false }
                return nil
            }
            group.addTask {
                for await event in events {
                    switch event {
                    case .notification: return true
                    case .mayHaveMissed:
                        do { try await store.notify(channel, in: client) } catch { return false }
                    }
                }
                return false
            }
            group.addTask { [limit] in
                do { try await Task.sleep(for: limit) } catch { return nil }
                return false
            }
            var answer: Bool?
            while answer == nil, let next = await group.next() { answer = next }
            group.cancelAll()
            return answer ?? false
        }
        guard arrived else {
            return .warn(
                "notifications", "A NOTIFY did not come back within \(limit.words): workers find jobs by polling only.",
                fix: "Set DATABASE_DIRECT_URL to an address that reaches PostgreSQL past any pooler.")
        }
        return .ok(
            "notifications", "They arrive (\((ContinuousClock.now - sentAt).inMilliseconds) ms with connecting).")
    }
}
