import Foundation
import Shared
import TestSupport
import Testing

@Suite struct APIKeyDefaultsTests {
    private let now = Date(timeIntervalSince1970: 1_800_000_000)

    private func days(_ count: Double) -> Date { now.addingTimeInterval(count * 86_400) }

    private func settings(_ change: (inout APIKeyDefaults) -> Void) -> APIKeyDefaults {
        var settings = APIKeyDefaults()
        change(&settings)
        return settings
    }

    @Test func fillsOnlyWhatIsNotSet() {
        let settings = settings {
            $0.defaults.maxBudget = 5
            $0.defaults.tpmLimit = 100
            $0.defaults.rpmLimit = 10
            $0.defaults.budgetDuration = "monthly"
            $0.defaults.softBudget = 4
            $0.defaults.expirationDays = 30
        }
        let all = KeyAllowance(
            limits: SpendingLimits(maxBudget: 5, budgetDuration: "monthly", tpmLimit: 100, rpmLimit: 10),
            softBudget: 4, expiresAt: days(30))
        #expect(settings.filled(KeyAllowance(), now: now) == all)
        let wish = KeyAllowance(
            limits: SpendingLimits(maxBudget: 0, budgetDuration: "1d", tpmLimit: 0, rpmLimit: 1), softBudget: 0,
            expiresAt: days(1))
        #expect(settings.filled(wish, now: now) == wish)
        #expect(APIKeyDefaults().filled(KeyAllowance(), now: now) == KeyAllowance())
    }

    @Test func withoutADefaultTheMaximumIsTheLimit() {
        let settings = settings {
            $0.defaults.rpmLimit = 10
            $0.maximums.maxBudget = 50
            $0.maximums.tpmLimit = 500
            $0.maximums.rpmLimit = 20
            $0.maximums.expirationDays = 90
        }
        let filled = settings.filled(KeyAllowance(), now: now)
        #expect(filled.limits == SpendingLimits(maxBudget: 50, tpmLimit: 500, rpmLimit: 10))
        #expect(filled.expiresAt == days(90))
        #expect(settings.violations(of: filled, now: now) == [])
    }

    @Test func theWarningIsNeverAboveTheBudget() {
        let settings = settings { $0.defaults.softBudget = 8 }
        #expect(settings.filled(KeyAllowance(), now: now).softBudget == 8)
        let small = KeyAllowance(limits: SpendingLimits(maxBudget: 3))
        #expect(settings.filled(small, now: now).softBudget == 3)
    }

    @Test func namesEveryFieldAboveItsMaximum() {
        let settings = settings {
            $0.maximums.maxBudget = 50
            $0.maximums.tpmLimit = 500
            $0.maximums.rpmLimit = 20
            $0.maximums.expirationDays = 90
        }
        let atMost = KeyAllowance(
            limits: SpendingLimits(maxBudget: 50, tpmLimit: 500, rpmLimit: 20), expiresAt: days(90))
        #expect(settings.violations(of: atMost, now: now) == [])
        let above = KeyAllowance(
            limits: SpendingLimits(maxBudget: Decimal(string: "50.01"), tpmLimit: 501, rpmLimit: 21),
            expiresAt: days(90.01))
        #expect(
            settings.violations(of: above, now: now) == [
                SettingViolation(field: "maxBudget", message: "must be at most 50"),
                SettingViolation(field: "tpmLimit", message: "must be at most 500"),
                SettingViolation(field: "rpmLimit", message: "must be at most 20"),
                SettingViolation(field: "expiresAt", message: "must be at most 90 days from now"),
            ])
        let fields = settings.violations(of: KeyAllowance(), now: now).map(\.field)
        #expect(fields == ["maxBudget", "tpmLimit", "rpmLimit", "expiresAt"])
        #expect(APIKeyDefaults().violations(of: above, now: now) == [])
    }

    @Test func aMaximumOfBudgetsBoundsTheirPeriodsToo() {
        let settings = settings {
            $0.maximums.maxBudget = 50
            $0.defaults.budgetDuration = "weekly"
        }
        func fields(_ period: String?) -> [String] {
            let limits = SpendingLimits(maxBudget: 50, budgetDuration: period)
            return settings.violations(of: KeyAllowance(limits: limits), now: now).map(\.field)
        }
        #expect(fields("1s") == ["budgetDuration"] && fields("daily") == ["budgetDuration"])
        #expect(fields(nil) == [] && fields("weekly") == [] && fields("1mo") == [])
        #expect(BudgetDuration.seconds("monthly") == BudgetDuration.seconds("1mo"))
    }

    @Test func neverExpiringExceedsAMaximum() {
        let settings = settings { $0.maximums.expirationDays = 7 }
        #expect(
            settings.violations(of: KeyAllowance(), now: now) == [
                SettingViolation(field: "expiresAt", message: "must be set: a key may live for at most 7 days")
            ])
    }

    @Test func defaultsKeepToTheMaximums() {
        let settings = settings {
            $0.defaults.maxBudget = 6
            $0.defaults.softBudget = 7
            $0.defaults.tpmLimit = 2
            $0.defaults.rpmLimit = 2
            $0.defaults.expirationDays = 31
            $0.defaults.budgetDuration = "sometimes"
            $0.maximums.maxBudget = 5
            $0.maximums.tpmLimit = 2
            $0.maximums.rpmLimit = 1
            $0.maximums.expirationDays = 30
        }
        #expect(
            settings.contradictions.map(\.field) == [
                "defaults.maxBudget", "defaults.rpmLimit", "defaults.expirationDays", "defaults.softBudget",
                "defaults.softBudget", "defaults.budgetDuration",
            ])
        #expect(APIKeyDefaults().contradictions == [])
    }

    @Test func pageSizesThatExcludeEachOtherAreNamed() {
        var limits = AnalyticsLimits()
        #expect(limits.contradictions == [])
        limits.pageSizes.smallest = 60
        limits.pageSizes.usual = 60
        limits.pageSizes.largest = 50
        #expect(limits.contradictions.map(\.field) == ["pagination.minPageSize"])
    }
}

@Suite(.needsDatabase) struct SettingStoreTests {
    private let settings = PostgresSettingStore()

    @Test func keepsWhatIsSetToTheLastDigit() async throws {
        try await withTestDatabase { test in
            #expect(try await settings.get(APIKeyDefaults.self, in: test.client) == nil)
            var first = APIKeyDefaults()
            first.defaults.maxBudget = Decimal(string: "0.1234567890123456789")
            first.maximums.expirationDays = 30
            let wanted = first
            let before = try await test.client.withTransaction { try await settings.put(wanted, by: "a", in: $0) }
            #expect(before == nil)
            #expect(try await settings.get(in: test.client) == first)
            let replaced = try await test.client.withTransaction {
                try await settings.put(APIKeyDefaults(), by: "b", in: $0)
            }
            #expect(replaced == first)
            #expect(try await settings.get(in: test.client) == APIKeyDefaults())
            let by = try await test.client.query("select updated_by from system_settings").one(String.self)
            #expect(by == "b")
        }
    }

    @Test func ofTwoFirstOnesTheSecondSeesWhatItReplaces() async throws {
        try await withTestDatabase { test in
            let replaced = try await withThrowingTaskGroup(of: Currency?.self) { group in
                for currency in Currency.supported {
                    group.addTask {
                        try await test.client.withTransaction {
                            try await settings.put(currency, by: currency.code, in: $0)
                        }
                    }
                }
                return try await group.reduce(into: [Currency?]()) { $0.append($1) }
            }
            // Each was seen by the one after it, and the last one is there.
            let last = try await settings.get(Currency.self, in: test.client)
            #expect(Set((replaced + [last]).map { $0?.code }).count == Currency.supported.count + 1)
        }
    }

    @Test func limitsOfNewUsersAreThoseSetElseTheConfigured() async throws {
        try await withTestDatabase { test in
            let configured = SpendingLimits(maxBudget: 100, tpmLimit: 1000, rpmLimit: 60)
            #expect(try await settings.limitsOfNewUsers(otherwise: configured, in: test.client) == configured)
            _ = try await test.client.withTransaction {
                try await settings.put(NewUserLimits(maxBudget: 0, rpmLimit: 5), by: "a", in: $0)
            }
            let limits = try await settings.limitsOfNewUsers(otherwise: configured, in: test.client)
            #expect(limits == SpendingLimits(maxBudget: 0, tpmLimit: 1000, rpmLimit: 5))
        }
    }

    @Test func knowsTwentyFiveCurrencies() {
        #expect(Set(Currency.supported.map(\.code)).count == 25)
        #expect(Currency.supported.map(\.code) == Currency.supported.map(\.code).sorted())
        #expect(Currency.supported.allSatisfy { $0.code.count == 3 && (1...5).contains($0.symbol.count) })
    }
}
