import Shared
import TestSupport
import Testing

@Suite("Addresses that requests may connect to", .hangGuard)
struct AddressPolicyTests {
    @Test(
        "addresses that are not public are refused, in every spelling",
        arguments: [
            "127.0.0.1", "127.255.0.9", "0.0.0.0", "10.1.2.3", "100.64.0.1", "169.254.169.254", "172.16.0.1",
            "172.31.255.255", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::",
            "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
            "fd00:ec2::254", "fc00::1", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "192.0.2.1", "203.0.113.9",
            "192.0.0.1", "198.51.100.1", "192.88.99.1", "64:ff9b:1::1", "100::1", "2001::1", "3fff::1",
        ])
    func inner(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(!AddressPolicy().allows(address))
        #expect(AddressPolicy(allowed: [try #require(IPNetwork(text))]).allows(address))
    }

    @Test(
        "public ones are let in", arguments: ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "192.169.0.1"])
    func outer(text: String) throws {
        #expect(AddressPolicy().allows(try #require(IPAddress(text))))
    }

    private func answering() throws -> LoopbackServer {
        try LoopbackServer { connection in connection.serve { _ in connection.respond(200, "ok") } }
    }

    @Test("no connection is opened to an address that is refused, whatever name leads there")
    func refused() async throws {
        let server = try answering()
        defer { server.stop() }
        for host in ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"] {
            var request = HTTPClientRequest(url: "http://\(host):\(server.port)/")
            request.addresses = AddressPolicy()
            let error = try await failure(of: request)
            #expect(error.code == .addressRefused, "\(host)")
            #expect(!error.requestMayHaveReachedServer)
        }
        #expect(server.acceptedCount == 0)
    }

    @Test("an address that is let in is reached, on a connection of its own each time")
    func allowed() async throws {
        let server = try answering()
        defer { server.stop() }
        let transport = transport()
        var request = HTTPClientRequest(url: server.url())
        request.addresses = AddressPolicy(allowed: [try #require(IPNetwork("127.0.0.0/8"))])
        for _ in 1...2 {
            let response = try await transport.send(request)
            #expect(response.status == 200 && !response.reusedConnection)
        }
        #expect(server.acceptedCount == 2)
    }
}
