import Foundation
import Testing

@testable import Shared

@Suite struct PostgresQueryTests {
    @Test func interpolationBinds() {
        let query: PostgresQuery = "select * from t where a = \(1) and b = \("x'; drop table t") and c = \(Int?.none)"
        #expect(query.sql == "select * from t where a = $1 and b = $2 and c = $3")
        let parameters = query.parameters.list
        #expect(parameters.map(\.type) == [.int8, .unspecified, .int8])
        #expect(parameters.map(\.length) == [8, 16, -1])
        #expect(query.parameters.problem == nil)
    }

    @Test func fragmentsKeepTheirNumbers() {
        let filters: [PostgresFragment] = ["a = \(1)", "b in (\("x"), \("y"))"]
        let query: PostgresQuery = """
            select \(0) from t where \(PostgresFragment.joined(filters, separator: " and ", empty: "true")) limit \(9)
            """
        #expect(query.sql == "select $1 from t where a = $2 and b in ($3, $4) limit $5")
        #expect(PostgresQuery("\(PostgresFragment.joined([], separator: ", ", empty: "true"))").sql == "true")
        let outer: PostgresFragment = "(\(PostgresFragment("a = \(1)"))) or \(identifier: "b\"c")"
        #expect(PostgresQuery("\(outer)").sql == "(a = $1) or \"b\"\"c\"")
    }

    @Test func whatIsNotBoundIsQuoted() {
        let query: PostgresQuery =
            "\(unescaped: "select") \(identifier: "a\"b") \(literal: "it's") \(literal: "back\\slash\0")"
        #expect(query.sql == "select \"a\"\"b\" 'it''s'  E'back\\\\slash'")
        #expect(query.parameters.list.isEmpty)
    }

    @Test func anEnumBindsAsItsRawValue() {
        #expect(PostgresQuery("\(Colour.red)").parameters.list.map(\.type) == [.int2])
    }

    @Test func statementsAreKeptByTextAndTypes() {
        var cache = PostgresStatementCache(capacity: 2)
        let number = PostgresStatementKey("select \(1)")
        let text = PostgresStatementKey("select \("1")")
        let third = PostgresStatementKey("select 3")
        #expect(cache.use(number) == .new(name: "s1", evicted: nil))
        #expect(cache.use(text) == .new(name: "s2", evicted: nil))
        #expect(cache.use(number) == .kept(name: "s1"))
        #expect(cache.use(third) == .new(name: "s3", evicted: "s2"))
        #expect(cache.use(number) == .kept(name: "s1"))
        #expect(cache.forget(number) == "s1")
        #expect(cache.forget(number) == nil)
        #expect(cache.count == 1)
        #expect(cache.use(number) == .new(name: "s4", evicted: nil))
    }

    @Test func timersComeInOrder() {
        var queue = PostgresTimerQueue()
        let start = ContinuousClock.now
        var order: [Int] = []
        let delays = [5, 1, 4, 2, 3, 9, 7, 8, 6, 0]
        var firsts: [Bool] = []
        for delay in delays {
            firsts.append(queue.insert(start + .seconds(delay)) { [delay] in _ = delay })
        }
        #expect(firsts == [true, true, false, false, false, false, false, false, false, true])
        while let earliest = queue.earliest {
            #expect(queue.popDue(at: earliest - .nanoseconds(1)) == nil)
            order.append(Int((earliest - start).inSeconds))
            #expect(queue.popDue(at: earliest) != nil)
        }
        #expect(order == Array(0...9))
        #expect(queue.popDue(at: start + .seconds(100)) == nil)
    }
}

private enum Colour: Int16, PostgresEncodable {
    case red = 1
}
