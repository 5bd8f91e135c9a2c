import HTTPTypes
import Shared
import Testing

@testable import API

@Suite("Trusted proxies")
struct TrustedProxiesTests {
    private static let proxies = TrustedProxies(networks: ["10.0.0.0/8", "2001:db8::/32"].compactMap { IPNetwork($0) })

    private static func client(_ peer: String, _ fields: String...) -> String? {
        var headers: HTTPFields = [:]
        for field in fields { headers.append(HTTPField(name: .forwardedFor, value: field)) }
        return proxies.client(peer: IPAddress(peer), headers: headers)?.description
    }

    @Test("a stranger is not believed")
    func strangers() {
        #expect(Self.client("192.0.2.1", "198.51.100.7") == "192.0.2.1")
        #expect(TrustedProxies(networks: []).client(peer: nil, headers: [.forwardedFor: "198.51.100.7"]) == nil)
    }

    @Test("the last address that is not a proxy counts, not what clients write before it")
    func walk() {
        #expect(Self.client("10.0.0.1") == "10.0.0.1")
        #expect(Self.client("10.0.0.1", "198.51.100.7") == "198.51.100.7")
        #expect(Self.client("10.0.0.1", "1.1.1.1, 198.51.100.7 ,10.2.3.4") == "198.51.100.7")
        #expect(Self.client("10.0.0.1", "1.1.1.1", "198.51.100.7", "10.2.3.4") == "198.51.100.7")
        #expect(Self.client("::ffff:10.0.0.1", "::ffff:198.51.100.7") == "198.51.100.7")
        #expect(Self.client("2001:db8::1", "2001:dead::7, 2001:db8::2") == "2001:dead::7")
        #expect(Self.client("10.0.0.1", "10.0.0.3, 10.0.0.2") == "10.0.0.3")
    }

    @Test("ports and brackets are read", arguments: ["198.51.100.7:1234", "[2001:dead::7]:443", "[2001:dead::7]"])
    func ports(_ entry: String) {
        #expect(Self.client("10.0.0.1", entry) == (entry.hasPrefix("[") ? "2001:dead::7" : "198.51.100.7"))
    }

    @Test(
        "an entry that is no address ends the walk at the proxy that sent it",
        arguments: ["unknown", "", "198.51.100.7 x", "198.51.100.7:x", "[::1", "[::1]x", "999.1.1.1", "1.2.3.4:99999"])
    func malformed(_ entry: String) {
        #expect(Self.client("10.0.0.1", "198.51.100.7, \(entry), 10.0.0.2") == "10.0.0.2")
    }

    @Test("a header of a thousand proxies is not read to its end")
    func bounded() {
        let entries = ["198.51.100.7"] + Array(repeating: "10.0.0.9", count: 1000)
        #expect(Self.client("10.0.0.1", entries.joined(separator: ",")) == "10.0.0.9")
    }
}
