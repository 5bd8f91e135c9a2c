import Foundation
import Shared

/// Every kind of job a process knows, by name.
package struct JobCatalog: Sendable {
    let handlers: [String: JobHandler]

    /// - Precondition: no two kinds share a name.
    package init(_ kinds: [any JobKind.Type]) {
        var handlers: [String: JobHandler] = [:]
        for kind in kinds {
            let handler = Self.handler(kind)
            precondition(handlers[handler.name] == nil, "two job kinds are named \(handler.name)")
            handlers[handler.name] = handler
        }
        self.handlers = handlers
    }

    /// The names of all kinds, sorted.
    package var names: [String] { handlers.keys.sorted() }

    /// The queues these kinds run in, sorted.
    package var queues: [String] { Set(handlers.values.map(\.queue)).sorted() }

    /// The product's kinds: a new one is its file in `Kinds` and a line here.
    package static let standard = JobCatalog([
        DriftSettle.self,
        JobsBulk.self,
        JobsRetention.self,
        IntegrationSync.self,
        KeyAccess.self,
        KeyAdopt.self,
        KeyCreate.self,
        KeyDelete.self,
        KeyResetSpend.self,
        KeyRetire.self,
        KeyRevoke.self,
        KeyRotate.self,
        KeyUpdate.self,
        KeysBulk.self,
        KeysBulkExtend.self,
        KeysBulkPurge.self,
        KeysBulkRevoke.self,
        KeysExpire.self,
        KeysSnapshot.self,
        KeyVerify.self,
        ModelApply.self,
        ModelCascade.self,
        ModelSync.self,
        OrphanRevoke.self,
        QuotaForgive.self,
        QuotaReset.self,
        ReconcileOrphans.self,
        SecretsPurge.self,
        SubscriptionsExpire.self,
        TeamDelete.self,
        TeamEnsure.self,
        UsageExport.self,
        UsageFetchDay.self,
        UsagePurge.self,
        UsageRebuild.self,
        UsageRefresh.self,
        UsageRequestLog.self,
        UserProvision.self,
        UserRealign.self,
        UserRealignPreview.self,
        UserResetSpend.self,
        UsersBulkLimits.self,
        UsersSnapshot.self,
    ])

    private static func handler<Kind: JobKind>(_ kind: Kind.Type) -> JobHandler { JobHandler(kind) }
}
