/// A sign-in under way, from the redirect to the identity provider until its callback.
package struct OAuthState: Sendable, Equatable {
    /// The identity provider that was chosen.
    package var provider: String
    /// The front end that asked, such as `https://litemaas.example`; the browser goes back there.
    package var origin: String
    /// What whoever trades the code in has to show; nil where the provider asks for none.
    package var pkceVerifier: String?
    /// What the ID token has to repeat; nil where the provider gives none.
    package var nonce: String?
    /// Whether the client asked for a refresh token.
    package var wantsRefresh: Bool

    package init(
        provider: String, origin: String, pkceVerifier: String? = nil, nonce: String? = nil, wantsRefresh: Bool = false
    ) {
        self.provider = provider
        self.origin = origin
        self.pkceVerifier = pkceVerifier
        self.nonce = nonce
        self.wantsRefresh = wantsRefresh
    }
}
