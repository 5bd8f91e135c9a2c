import Shared
import Testing

@Suite struct SecretTests {
    @Test func neverPrints() {
        let secret = Secret("hunter2")
        var dumped = ""
        dump(["nested": secret], to: &dumped)
        let forms = ["\(secret)", String(reflecting: secret), dumped, "\(Optional(secret) as Any)"]
        for form in forms {
            #expect(!form.contains("hunter2"))
            #expect(form.contains("redacted"))
        }
        #expect(secret.reveal() == "hunter2")
    }

    @Test func comparesByValue() {
        #expect(Secret("a") == Secret("a"))
        #expect(Secret("a") != Secret("b"))
        #expect(Secret("a") != Secret("aa"))
        #expect(Secret("").isEmpty)
    }
}
