import Foundation
import Shared
import Testing
import Yams

/// Alert rules and dashboard speak only of what the programs publish.
@Suite("Monitoring")
struct MonitoringTests {
    private struct Rules: Decodable {
        struct Group: Decodable {
            var name: String
            var rules: [Rule]
        }
        struct Rule: Decodable {
            var record: String?
            var alert: String?
            var expr: String
            var labels: [String: String]?
            var annotations: [String: String]?
        }
        var groups: [Group]
        var all: [Rule] { groups.flatMap(\.rules) }
    }

    private func text(_ path: String) throws -> String {
        try String(contentsOf: SourceTree.root.appending(path: path), encoding: .utf8)
    }

    private func rules() throws -> Rules {
        try YAMLDecoder().decode(Rules.self, from: try text("ops/monitoring/alerts.yml"))
    }

    private func dashboardExpressions() throws -> [String] {
        func find(_ value: JSONValue) -> [String] {
            if let array = value.arrayValue { return array.flatMap(find) }
            guard let object = value.objectValue else { return [] }
            return object.flatMap { key, value in
                if key == "expr", let text = value.stringValue { return [text] }
                return find(value)
            }
        }
        let json = try text("ops/monitoring/grafana-dashboard.json")
        return find(try JSON.decoder.decode(JSONValue.self, from: Data(json.utf8)))
    }

    /// Every name a process can publish, as the source writes it: in the text format, with the endings of its kind.
    private var published: Set<String> {
        var names: Set<String> = []
        for file in SourceTree.files("Sources") {
            for match in file.text.matches(of: /"((litemaas|process)[._][a-z0-9_.]+)"/) {
                let name = match.1.replacing(".", with: "_")
                for ending in ["", "_total", "_seconds"] {
                    for part in ["", "_bucket", "_sum", "_count"] { names.insert(name + ending + part) }
                }
            }
        }
        return names
    }

    private func metrics(in expression: String) -> [String] {
        expression.matches(of: /\b(litemaas|process)[_:][a-z0-9_:]+/).map { String($0.0) }
    }

    @Test("every metric of the alert rules and of the dashboard is published by some process")
    func namesExist() throws {
        let rules = try rules().all
        let recorded = Set(rules.compactMap(\.record))
        let known = published.union(recorded)
        let expressions = rules.map(\.expr) + (try dashboardExpressions())
        #expect(expressions.count > 60)
        for expression in expressions {
            let used = metrics(in: expression)
            #expect(!used.isEmpty, "\(expression)")
            for name in used { #expect(known.contains(name), "\(name) in: \(expression)") }
        }
    }

    @Test("every alert says how bad it is and what to do, and its section exists")
    func runbooks() throws {
        let alerts = try rules().all.filter { $0.alert != nil }
        #expect(alerts.count > 20)
        let operations = try text("docs/operations.md")
        let headings = operations.split(separator: "\n").filter { $0.hasPrefix("#") }
        let anchors = Set(
            headings.map { heading in
                heading.drop { $0 == "#" || $0 == " " }.lowercased().filter { $0.isLetter || $0 == " " || $0 == "-" }
                    .replacing(" ", with: "-")
            })
        for alert in alerts {
            let name = alert.alert ?? ""
            #expect(["warning", "critical"].contains(alert.labels?["severity"] ?? ""), "\(name)")
            #expect((alert.annotations?["summary"] ?? "").count > 10, "\(name)")
            #expect((alert.annotations?["runbook"] ?? "").count > 20, "\(name)")
            let link = (alert.annotations?["runbook_url"] ?? "").split(separator: "#")
            #expect(link.first == "docs/operations.md", "\(name)")
            #expect(anchors.contains(link.last.map(String.init) ?? ""), "\(name) leads to \(link)")
        }
        #expect(Set(alerts.compactMap(\.alert)).count == alerts.count)
    }

    @Test("brackets and quotes of every expression are balanced")
    func expressionsAreBalanced() throws {
        for expression in try rules().all.map(\.expr) + (try dashboardExpressions()) {
            for (open, close) in [("(", ")"), ("{", "}"), ("[", "]")] {
                let opened = expression.count { String($0) == open }
                #expect(opened == expression.count { String($0) == close }, "\(expression)")
            }
            #expect(expression.count { $0 == "\"" }.isMultiple(of: 2), "\(expression)")
        }
    }
}
