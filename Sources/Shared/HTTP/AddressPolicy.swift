/// Which addresses a request may connect to: those of the public internet, and those that somebody lets in by name. For
/// requests whose URL a caller chose, so that they do not reach what only this machine reaches.
package struct AddressPolicy: Sendable, Equatable {
    /// Loopback, link-local with the clouds' metadata services, private and shared networks, multicast, reserved, and
    /// the IPv6 forms that carry an IPv4 address past these.
    private static let inner = [
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/3", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
        "3fff::/20", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    ].compactMap(IPNetwork.init)

    /// Let in although they are not public.
    package var allowed: [IPNetwork]

    /// Public addresses and `allowed`.
    package init(allowed: [IPNetwork] = []) {
        self.allowed = allowed
    }

    /// Whether a connection to the address may be opened.
    package func allows(_ address: IPAddress) -> Bool {
        allowed.contains { $0.contains(address) } || !Self.inner.contains { $0.contains(address) }
    }
}
