import Testing

@testable import Shared

@Suite struct PostgresPoolMachineTests {
    private let start = ContinuousClock.now
    private let lost = PostgresError(.connection, "refused")

    private func at(_ seconds: Double) -> ContinuousClock.Instant {
        start + .seconds(seconds)
    }

    private func machine(_ change: (inout PostgresPoolMachine.Limits) -> Void = { _ in }) -> PostgresPoolMachine {
        var limits = PostgresPoolMachine.Limits()
        limits.maxConnections = 2
        limits.maxWaiting = 3
        limits.leaseTimeout = .seconds(5)
        limits.idleTimeout = .seconds(30)
        limits.maxAge = .seconds(1000)
        limits.checkAfter = .seconds(20)
        limits.backoff = Backoff(initial: .seconds(1), cap: .seconds(4))
        change(&limits)
        return PostgresPoolMachine(limits: limits)
    }

    /// Opens a connection for waiter 0 and gives its id.
    private func opened(_ machine: inout PostgresPoolMachine) throws -> Int {
        let id = try #require(machine.lease(0, at: start).connect.first)
        #expect(machine.connected(id, at: start).lend.map(\.connection) == [id])
        return id
    }

    @Test func aConnectionIsOpenedForWhoWaits() throws {
        var machine = machine()
        #expect(machine.tryLease(at: start) == nil)
        let first = machine.lease(1, at: start)
        #expect(first.connect.count == 1)
        #expect(first.wakeAt == at(5))
        let id = try #require(first.connect.first)
        let connected = machine.connected(id, at: at(1))
        #expect(connected.lend == [.init(waiter: 1, connection: id, needsCheck: false)])
        #expect(machine.returned(id, .reuse, at: at(2)).close.isEmpty)
        let fast = machine.tryLease(at: at(3))
        #expect(fast?.connection == id && fast?.needsCheck == false)
    }

    @Test func waitersComeInOrderAndNobodyOvertakes() throws {
        var machine = machine { $0.maxConnections = 1 }
        let id = try opened(&machine)
        for waiter in 1...3 { #expect(machine.lease(waiter, at: start).lend.isEmpty) }
        #expect(machine.tryLease(at: start) == nil)
        let cancellations = [machine.cancel(2), machine.cancel(2)]
        #expect(cancellations == [true, false])
        #expect(machine.returned(id, .reuse, at: at(1)).lend.map(\.waiter) == [1])
        #expect(machine.lease(4, at: at(1)).lend.isEmpty)
        #expect(machine.returned(id, .reuse, at: at(1)).lend.map(\.waiter) == [3])
        #expect(machine.returned(id, .reuse, at: at(1)).lend.map(\.waiter) == [4])
        #expect(machine.counts.waiting == 0)
    }

    @Test func noMoreThanTheLimitIsOpened() {
        var machine = machine()
        let connects = (1...3).map { machine.lease($0, at: start).connect.count }
        #expect(connects == [1, 1, 0])
        #expect(machine.counts.total == 2)
    }

    @Test func tooManyWaitersAreRefusedAtOnce() {
        var machine = machine()
        for waiter in 1...3 { #expect(machine.lease(waiter, at: start).fail.isEmpty) }
        let refused = machine.lease(4, at: start)
        #expect(refused.fail.map(\.waiter) == [4])
        #expect(refused.fail.first?.error.code == .poolExhausted)
    }

    @Test func waitingHasALimit() throws {
        var machine = machine { $0.maxConnections = 1 }
        _ = try opened(&machine)
        #expect(machine.lease(1, at: at(0)).wakeAt == at(5))
        #expect(machine.lease(2, at: at(2)).wakeAt == at(5))
        #expect(machine.tick(at: at(4)).fail.isEmpty)
        let due = machine.tick(at: at(5))
        #expect(due.fail.map(\.waiter) == [1])
        #expect(due.fail.first?.error.code == .timeout)
        #expect(due.wakeAt == at(7))
        #expect(machine.tick(at: at(7)).fail.map(\.waiter) == [2])
    }

    @Test func aBrokenConnectionIsReplacedForWhoWaits() throws {
        var machine = machine { $0.maxConnections = 1 }
        let id = try opened(&machine)
        #expect(machine.lease(1, at: start).connect.isEmpty)
        let actions = machine.returned(id, .close, at: at(1))
        #expect(actions.close == [id])
        #expect(actions.connect.count == 1)
        #expect(machine.generation == 0)
    }

    @Test func aFailoverRecyclesAllConnectionsOfItsGeneration() throws {
        var machine = machine { $0.maxConnections = 3 }
        let ids = try (0..<3).map { waiter in try #require(machine.lease(waiter, at: start).connect.first) }
        for id in ids { _ = machine.connected(id, at: start) }
        _ = machine.returned(ids[2], .reuse, at: start)
        let first = machine.returned(ids[0], .recycle, at: at(1))
        #expect(Set(first.close) == [ids[0], ids[2]])
        #expect(machine.generation == 1)
        // A second report of the same event, and a healthy one of the old generation.
        let second = machine.returned(ids[1], .recycle, at: at(1))
        #expect(second.close == [ids[1]])
        #expect(machine.generation == 1)
        #expect(machine.counts.total == 0)
    }

    @Test func aConnectionOpenedDuringAFailoverIsNotTrusted() throws {
        var machine = machine()
        let old = try opened(&machine)
        let opening = try #require(machine.lease(1, at: start).connect.first)
        _ = machine.returned(old, .recycle, at: start)
        let actions = machine.connected(opening, at: at(1))
        #expect(actions.close == [opening])
        #expect(actions.lend.isEmpty)
        // Another one was started when the first one went.
        #expect(machine.counts.connecting == 1)
    }

    @Test func theDeathOfAnIdleConnectionRecycles() throws {
        var machine = machine()
        let lent = try opened(&machine)
        let idle = try #require(machine.lease(1, at: start).connect.first)
        _ = machine.connected(idle, at: start)
        _ = machine.returned(idle, .reuse, at: start)
        #expect(machine.died(lent, at: at(1)).close.isEmpty)
        #expect(machine.died(idle, at: at(1)).close == [idle])
        #expect(machine.returned(lent, .reuse, at: at(1)).close == [lent])
    }

    @Test func connectingIsRetriedWithGrowingPauses() throws {
        var machine = machine { $0.leaseTimeout = .seconds(100) }
        var id = try #require(machine.lease(1, at: start).connect.first)
        for (time, pause) in [(0.0, 1.0), (1, 2), (3, 4), (7, 4)] {
            let failed = machine.connectFailed(id, lost, at: at(time))
            #expect(failed.connect.isEmpty && failed.fail.isEmpty)
            #expect(failed.wakeAt == at(time + pause))
            #expect(machine.tick(at: at(time + pause - 0.5)).connect.isEmpty)
            id = try #require(machine.tick(at: at(time + pause)).connect.first)
        }
        #expect(machine.lease(2, at: at(11)).connect.isEmpty)
        #expect(machine.connected(id, at: at(12)).lend.map(\.waiter) == [1])
        #expect(machine.counts.connecting == 1)
    }

    @Test func callersAreRefusedAtOnceWhenConnectingHasFailedForLong() throws {
        var machine = machine()
        let id = try #require(machine.lease(1, at: start).connect.first)
        _ = machine.connectFailed(id, lost, at: start)
        let retry = try #require(machine.tick(at: at(4)).connect.first)
        _ = machine.lease(2, at: at(4))
        let hopeless = machine.connectFailed(retry, lost, at: at(6))
        #expect(Set(hopeless.fail.map(\.waiter)) == [1, 2])
        #expect(hopeless.fail.allSatisfy { $0.error == lost })
        #expect(machine.lease(3, at: at(7)).fail.map(\.waiter) == [3])
        // After the pause somebody may try, and waits for the outcome.
        let trial = machine.lease(4, at: at(9))
        #expect(trial.fail.isEmpty && trial.connect.count == 1)
        let again = try #require(trial.connect.first)
        #expect(machine.connected(again, at: at(10)).lend.map(\.waiter) == [4])
        #expect(machine.lease(5, at: at(10)).connect.count == 1)
    }

    @Test func timedOutWaitersLearnWhyConnectingFails() throws {
        var machine = machine { $0.backoff = Backoff(initial: .seconds(60), cap: .seconds(60)) }
        let id = try #require(machine.lease(1, at: start).connect.first)
        _ = machine.connectFailed(id, lost, at: at(1))
        let error = try #require(machine.tick(at: at(5)).fail.first?.error)
        #expect(error.code == .connection)
        #expect(error.message.contains("refused"))
    }

    @Test func idleConnectionsAboveTheMinimumGo() throws {
        var machine = machine {
            $0.minConnections = 1
            $0.checkAfter = .seconds(500)
        }
        let first = try opened(&machine)
        let second = try #require(machine.lease(1, at: start).connect.first)
        _ = machine.connected(second, at: start)
        _ = machine.returned(first, .reuse, at: at(0))
        _ = machine.returned(second, .reuse, at: at(10))
        #expect(machine.tick(at: at(29)).close.isEmpty)
        #expect(machine.tick(at: at(31)).close == [first])
        #expect(machine.tick(at: at(60)).close.isEmpty)
    }

    @Test func theMinimumIsKeptOpen() {
        var machine = machine { $0.minConnections = 2 }
        #expect(machine.tick(at: start).connect.count == 2)
        #expect(machine.tick(at: start).connect.isEmpty)
    }

    @Test func oldConnectionsAreReplaced() throws {
        var machine = machine {
            $0.checkAfter = .seconds(5000)
            $0.idleTimeout = .seconds(5000)
        }
        let id = try opened(&machine)
        #expect(machine.returned(id, .reuse, at: at(800)).close.isEmpty)
        #expect(machine.tick(at: at(1000)).close == [id])
        let next = try #require(machine.lease(1, at: at(1000)).connect.first)
        _ = machine.connected(next, at: at(1000))
        #expect(machine.returned(next, .reuse, at: at(2000)).close == [next])
    }

    @Test func longIdleConnectionsAreChecked() throws {
        var machine = machine { $0.idleTimeout = .seconds(1000) }
        let id = try opened(&machine)
        _ = machine.returned(id, .reuse, at: start)
        let fast = machine.tryLease(at: at(20))
        #expect(fast?.needsCheck == true)
        _ = machine.returned(id, .reuse, at: at(20))
        #expect(machine.tick(at: at(39)).check.isEmpty)
        #expect(machine.tick(at: at(40)).check == [id])
        #expect(machine.tryLease(at: at(40)) == nil)
        #expect(machine.returned(id, .recycle, at: at(41)).close == [id])
    }

    @Test func closingRefusesAndClosesEverything() throws {
        var machine = machine()
        let lent = try opened(&machine)
        let idle = try #require(machine.lease(1, at: start).connect.first)
        _ = machine.connected(idle, at: start)
        _ = machine.returned(idle, .reuse, at: start)
        let waiting = machine.lease(2, at: start)
        #expect(waiting.lend.map(\.connection) == [idle])
        _ = machine.lease(3, at: start)
        _ = machine.returned(idle, .reuse, at: start)
        _ = machine.returned(idle, .reuse, at: start)
        let closed = machine.close()
        #expect(closed.close == [idle])
        #expect(machine.isClosed)
        #expect(machine.tryLease(at: start) == nil)
        #expect(machine.lease(4, at: start).fail.first?.error.code == .closed)
        #expect(machine.returned(lent, .reuse, at: start).close == [lent])
        #expect(machine.counts.total == 0)
    }

    @Test func closingFailsWhoWaitsAndDropsWhatIsBeingOpened() throws {
        var machine = machine()
        let opening = try #require(machine.lease(1, at: start).connect.first)
        #expect(machine.close().fail.map(\.waiter) == [1])
        #expect(machine.connected(opening, at: start).close == [opening])
        #expect(machine.counts.total == 0)
    }

    @Test func manyCancelledWaitersLeaveNothingBehind() throws {
        var machine = machine { limits in
            limits.maxConnections = 1
            limits.maxWaiting = 10_000
        }
        let id = try opened(&machine)
        for waiter in 1...5000 { _ = machine.lease(waiter, at: start) }
        for waiter in 1...4999 { _ = machine.cancel(waiter) }
        #expect(machine.counts.waiting == 1)
        #expect(machine.returned(id, .reuse, at: start).lend.map(\.waiter) == [5000])
        #expect(machine.counts.waiting == 0)
        #expect(machine.tick(at: at(100)).fail.isEmpty)
    }
}
