import Testing

@testable import Shared

@Suite struct PostgresDatabaseStoreTests {
    @Test(arguments: [
        ("postgresql://u:p@h:5432/app", "app"), ("postgres://h1:1,h2:2/app?sslmode=require", "app"),
        ("postgresql:///app", "app"), ("postgresql://h/my%20%22db", "my \"db"), ("postgresql://h/a?dbname=b", "b"),
        ("host=h dbname=app user=u", "app"), ("dbname = 'my \\'db' host=h", "my 'db"), ("dbname=app", "app"),
        ("dbname=app dbname=other", "other"), ("postgresql://h/a?dbname=b&dbname=c", "c"),
    ])
    func findsTheName(url: String, name: String) {
        #expect(PostgresDatabaseStore.databaseName(in: Secret(url)) == name)
    }

    @Test(arguments: ["postgresql://u@h", "postgresql://h/", "host=h user=u", "host=h mydbname=x"])
    func leavesItToTheLibraryWhereNoneIsNamed(url: String) {
        #expect(PostgresDatabaseStore.databaseName(in: Secret(url)) == nil)
    }

    @Test(arguments: [
        ("postgresql://u:p@h/app", "postgresql://u:p@h/app?dbname=postgres"),
        ("postgresql://h/app?sslmode=require", "postgresql://h/app?sslmode=require&dbname=postgres"),
        ("host=h dbname=app", "host=h dbname=app dbname=postgres"),
    ])
    func namesAnotherDatabaseOfTheServer(url: String, other: String) {
        #expect(PostgresDatabaseStore.url(Secret(url), database: "postgres").reveal() == other)
    }
}
