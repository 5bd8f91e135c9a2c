import Foundation
import Shared
import Testing

@Suite struct SettingsListTests {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    @Test func namesAreUniqueAndWellFormed() {
        let names = SettingsList.all.flatMap { [$0.name] + $0.aliases }
        #expect(Set(names).count == names.count)
        for name in names {
            #expect(name.utf8.allSatisfy { (65...90).contains($0) || (48...57).contains($0) || $0 == 95 }, "\(name)")
        }
    }

    @Test(arguments: ProcessKind.allCases)
    func theListAndWhatIsReadAreTheSame(process: ProcessKind) async throws {
        let read = try await load(process).settings.map(\.name)
        let listed = SettingsList.all.filter { $0.usedBy.contains(process) }.map(\.name)
        #expect(Set(read) == Set(listed))
        #expect(read.count == Set(read).count)
    }

    @Test func everyUsedSettingIsReadBySomething() {
        for definition in SettingsList.all {
            #expect((definition.status == .used) == !definition.usedBy.isEmpty, "\(definition.name)")
            #expect(Set(definition.requiredBy).isSubset(of: Set(definition.usedBy)), "\(definition.name)")
        }
    }

    @Test func defaultsAndExamplesAreAccepted() async throws {
        for definition in SettingsList.all where definition.status == .used && !definition.isSecret {
            for text in [definition.defaultText, definition.example] where !text.isEmpty {
                guard !definition.name.hasSuffix("_CA_FILE"), definition.name != "ENV_FILE" else { continue }
                for process in definition.usedBy {
                    let changes = [definition.name: text, "DATABASE_DIRECT_URL": "postgresql://db/app"]
                    #expect(try await problems(process, changes) == [], "\(definition.name)=\(text)")
                }
            }
        }
    }

    @Test func settingTheDefaultChangesNothing() async throws {
        let plain = try await load(.worker)
        var explicit: [String: String] = [:]
        for definition in SettingsList.all
        where definition.status == .used && !definition.defaultText.isEmpty && definition.name != "ENV_FILE" {
            explicit[definition.name] = definition.defaultText
        }
        #expect(explicit.count > 20)
        let same = try await load(.worker, explicit)
        #expect(same.settings.map { "\($0.name)=\($0.value)" } == plain.settings.map { "\($0.name)=\($0.value)" })
        #expect("\(same.worker)" == "\(plain.worker)")
        #expect("\(same.database)" == "\(plain.database)")
    }

    @Test func seedVariablesAreOnTheList() {
        let names = Set(SettingsList.all.flatMap { [$0.name] + $0.aliases })
        let seed: Set<String> = [
            "NODE_ENV", "HOST", "PORT", "LOG_LEVEL", "CORS_ORIGIN", "ALLOWED_FRONTEND_ORIGINS", "DATABASE_URL",
            "DATABASE_POOL_SIZE", "DB_MAX_CONNECTIONS", "DB_IDLE_TIMEOUT", "DB_CONNECTION_TIMEOUT",
            "TEST_DATABASE_URL", "JWT_SECRET", "JWT_EXPIRES_IN", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET",
            "OAUTH_ISSUER", "OAUTH_CALLBACK_URL", "OPENSHIFT_API_URL", "MOCK_AUTH", "OAUTH_MOCK_ENABLED",
            "ALLOW_DEV_TOKENS", "ADMIN_API_KEYS", "DEFAULT_USER_ROLES", "ADMIN_BOOTSTRAP_USERS",
            "INITIAL_ADMIN_USERS", "LITELLM_API_URL", "LITELLM_API_KEY", "LITELLM_TIMEOUT", "LITELLM_RETRIES",
            "LITELLM_RETRY_DELAY", "LITELLM_AUTO_SYNC", "LITELLM_SYNC_INTERVAL", "LITELLM_ENABLE_MOCKING",
            "RATE_LIMIT_MAX", "RATE_LIMIT_TIME_WINDOW", "DEFAULT_USER_MAX_BUDGET", "DEFAULT_USER_TPM_LIMIT",
            "DEFAULT_USER_RPM_LIMIT", "AUTH_PROVIDER", "OIDC_GROUPS_CLAIM", "OIDC_SCOPES", "K8S_API_SKIP_TLS_VERIFY",
        ]
        #expect(seed.subtracting(names) == [])
    }

    @Test func documentationFollowsTheList() throws {
        let file = try String(contentsOf: Self.root.appending(path: "docs/configuration.md"), encoding: .utf8)
        #expect(
            file == SettingsDocumentation.markdown(), "run: swift run litemaasctl config docs > docs/configuration.md")
        for definition in SettingsList.all {
            #expect(file.contains("| `\(definition.name)`"), "\(definition.name)")
        }
    }

    @Test func exampleFileFollowsTheList() throws {
        let file = try String(contentsOf: Self.root.appending(path: ".env.example"), encoding: .utf8)
        #expect(
            file == SettingsDocumentation.environmentFile(),
            "run: swift run litemaasctl config docs --env > .env.example")
        let named = file.split(separator: "\n").compactMap { line in
            line.wholeMatch(of: /#?([A-Z0-9_]+)=.*/).map { String($0.1) }
        }
        #expect(
            named
                == SettingsList.all.map(\.name).sorted { first, second in
                    (named.firstIndex(of: first) ?? 0) < (named.firstIndex(of: second) ?? 0)
                })
        #expect(Set(named).count == SettingsList.all.count)
    }

    @Test func theExampleFileHoldsNoUsableSecret() async throws {
        let path = Self.root.appending(path: ".env.example").path
        let error = await #expect(throws: ConfigurationError.self) {
            try await AppConfiguration.load(process: .api, environment: ["ENV_FILE": path])
        }
        #expect(
            error?.problems.map(\.variable) == [
                "JWT_SECRET", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_ISSUER", "SECRETS_KEYS",
            ])
    }
}
