import Shared

/// One thing a caller may be allowed to do; the catalogue that LiteMaaS clients know, and what jobs add to it.
enum Permission: String, Sendable, CaseIterable {
    case adminSystem = "admin:system"
    case adminUsers = "admin:users"
    case adminUsage = "admin:usage"
    case adminAudit = "admin:audit"
    case adminBackup = "admin:backup"
    case adminModels = "admin:models"
    case adminHealth = "admin:health"
    case adminAPIKeys = "admin:api_keys"
    case adminBannersRead = "admin:banners:read"
    case adminBannersWrite = "admin:banners:write"
    case adminSubscriptionsRead = "admin:subscriptions:read"
    case adminSubscriptionsWrite = "admin:subscriptions:write"
    case adminSubscriptionsDelete = "admin:subscriptions:delete"
    case usersRead = "users:read"
    case usersWrite = "users:write"
    case usersDelete = "users:delete"
    case modelsRead = "models:read"
    case modelsWrite = "models:write"
    case subscriptionsRead = "subscriptions:read"
    case subscriptionsWrite = "subscriptions:write"
    case subscriptionsDelete = "subscriptions:delete"
    case apiKeysRead = "api_keys:read"
    case apiKeysWrite = "api_keys:write"
    case apiKeysDelete = "api_keys:delete"
    case teamsRead = "teams:read"
    case teamsWrite = "teams:write"
    case teamsMembers = "teams:members"
    case usageRead = "usage:read"
    case usageWrite = "usage:write"
    case usageExport = "usage:export"
    case jobsReadAll = "admin:jobs:read"
    case jobsWrite = "admin:jobs:write"
}

extension Permission {
    /// Every permission, as a scope of a service token.
    static let every = "*"

    /// What these scopes allow. Names of permissions that are gone allow nothing.
    static func named(by scopes: [String]) -> Set<Permission> {
        scopes.contains(every) ? Set(allCases) : Set(scopes.compactMap(Permission.init(rawValue:)))
    }

    /// What somebody can do who shows an API key: look at what is theirs. A key that leaked must not be able to make
    /// others that outlive it.
    static let ofAPIKeys: Set<Permission> = [.modelsRead, .subscriptionsRead, .apiKeysRead, .usageRead, .usageExport]
}

extension Role {
    private static let all = Dictionary(uniqueKeysWithValues: allCases.map { ($0, $0.makePermissions()) })

    /// What the role allows. Of several roles each adds its own.
    var permissions: Set<Permission> { Self.all[self] ?? [] }

    private func makePermissions() -> Set<Permission> {
        switch self {
        case .admin: Set(Permission.allCases)
        case .adminReadonly:
            [
                .adminUsers, .adminUsage, .adminAudit, .adminSubscriptionsRead, .adminBannersRead, .usersRead,
                .modelsRead, .subscriptionsRead, .apiKeysRead, .teamsRead, .usageRead, .usageExport, .jobsReadAll,
            ]
        case .user:
            [
                .modelsRead, .subscriptionsRead, .subscriptionsWrite, .subscriptionsDelete, .apiKeysRead,
                .apiKeysWrite, .apiKeysDelete, .teamsRead, .teamsMembers, .usageRead, .usageExport,
            ]
        case .readonly: [.modelsRead, .subscriptionsRead, .apiKeysRead, .teamsRead, .usageRead]
        }
    }
}
