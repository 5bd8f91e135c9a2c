import Shared
import Testing

@Suite struct RedactionTests {
    @Test(arguments: [
        "password", "PASSWORD", "db_password", "dbPassword", "clientSecret", "Authorization", "Set-Cookie",
        "access_token", "refreshToken", "token", "api_key", "apiKey", "apikey", "X-Api-Key", "litellmApiKey",
        "master-key", "jwt", "credentials.file",
    ])
    func secretNames(name: String) {
        #expect(Redaction.isSecretName(name))
    }

    @Test(arguments: [
        "max_tokens", "totalTokens", "api_key_id", "apiKeyId", "order_key", "key", "job_id", "token_count", "",
        "monkey", "passage", "unique_key", "key_prefix",
    ])
    func otherNames(name: String) {
        #expect(!Redaction.isSecretName(name))
    }

    @Test(arguments: [
        ("key sk-abcdEFGH_12-34 refused", "key redacted refused"),
        ("sk-1234", "redacted"),
        (#"{"key":"sk-1234567890"}"#, #"{"key":"redacted"}"#),
        ("a=sk-12345678,b=sk-87654321", "a=redacted,b=redacted"),
        ("with ltm_admin_0123456789abcdef.", "with redacted."),
        ("t eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl end", "t redacted end"),
        ("Authorization: Bearer abcdef.123456", "Authorization: Bearer redacted"),
        ("authorization: bearer ABCDEFGH", "authorization: bearer redacted"),
        ("postgresql://app:hunter2@db:5432/x", "postgresql://app:redacted@db:5432/x"),
        ("http://u:p@ss@host/", "http://u:redacted@host/"),
        ("ü sk-12345678 ü", "ü redacted ü"),
    ])
    func hidesSecretValues(text: String, expected: String) {
        #expect(Redaction.text(text) == expected)
    }

    @Test(arguments: [
        "task-runner-number-7", "disk-full-at-80", "keys of the form sk-...", "postgresql://app@db/x",
        "http://host:8080/a:b@c", "eyJ is how a token begins", "Bearer token", "https://host/path", "a://", "://", "",
        "the bearer",
    ])
    func leavesOtherTextAlone(text: String) {
        #expect(Redaction.text(text) == text)
    }
}
