import Testing

@testable import Shared

@Suite("IP addresses")
struct IPAddressTests {
    @Test(
        "addresses are read and written in their usual form",
        arguments: [
            ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::FFFF:c000:201", "192.0.2.1"), ("::", "::"), ("::1", "::1"), ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("2001:db8::", "2001:db8::"), ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ])
    func forms(_ text: String, _ written: String) {
        #expect(IPAddress(text)?.description == written)
        #expect(IPAddress(written) == IPAddress(text))
    }

    @Test(
        "what is no address is none",
        arguments: [
            "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "+1.2.3.4", "1.2.3.4:80", ":", ":::",
            "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::12345", "::g", "::+1",
            "fe80::1%eth0",
            "[::1]", "1.2.3.4::", "::1.2.3", "::1.2.3.4:5", "unknown", "١.2.3.4", String(repeating: "1", count: 46),
        ])
    func refused(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("networks hold the addresses with their prefix, and IPv4 ones no IPv6 address")
    func networks() throws {
        func holds(_ network: String, _ address: String) throws -> Bool {
            try #require(IPNetwork(network)).contains(try #require(IPAddress(address)))
        }
        #expect(try holds("10.0.0.0/8", "10.255.0.1") && holds("10.1.2.3/8", "::ffff:10.9.9.9"))
        #expect(try !holds("10.0.0.0/8", "11.0.0.1"))
        #expect(try holds("0.0.0.0/0", "255.255.255.255") && !holds("0.0.0.0/0", "2001:db8::1"))
        #expect(try holds("::/0", "2001:db8::1") && holds("::/0", "192.0.2.1"))
        #expect(try holds("2001:db8::/33", "2001:db8:7fff::1") && !holds("2001:db8::/33", "2001:db8:8000::1"))
        #expect(try holds("127.0.0.1", "127.0.0.1") && !holds("127.0.0.1", "127.0.0.2"))
        for bad in ["", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/+8", "10.0.0.0/8/8", "host/8"] {
            #expect(IPNetwork(bad) == nil, "\(bad)")
        }
        #expect(IPNetwork("10.1.2.3/8")?.description == "10.0.0.0/8")
        #expect(IPNetwork("2001:db8::1/32")?.description == "2001:db8::/32" && IPNetwork("::1")?.description == "::1")
    }

    @Test("a customer has an IPv4 address or a /64")
    func customers() {
        #expect(IPAddress("192.0.2.1")?.customer.description == "192.0.2.1")
        #expect(IPAddress("2001:db8:1:2:3:4:5:6")?.customer.description == "2001:db8:1:2::/64")
    }
}
