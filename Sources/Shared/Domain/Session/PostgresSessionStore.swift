/// The table `auth_sessions`.
package struct PostgresSessionStore: Sendable {
    /// A store without state.
    package init() {}
}
