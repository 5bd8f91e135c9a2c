/// A sign-in under way, from the redirect to the identity provider until its callback.
package struct OAuthState: Sendable, Equatable {
    /// The identity provider that was chosen.
    package var provider: String
    /// The front end that asked, such as `https://litemaas.example`; the browser goes back there.
    package var origin: String
    /// Whether the session is to have a refresh token.
    package var wantsRefresh: Bool

    package init(provider: String, origin: String, wantsRefresh: Bool = false) {
        self.provider = provider
        self.origin = origin
        self.wantsRefresh = wantsRefresh
    }
}
