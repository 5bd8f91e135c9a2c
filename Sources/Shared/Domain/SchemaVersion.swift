/// The migration that this version's statements need; an architecture test keeps it at the newest file's number.
package enum SchemaVersion {
    /// API and worker refuse to start on an older schema.
    package static let required = 17
}
