import Shared

/// A page of a list as LiteMaaS clients read it.
struct PagedAnswer<Item: JSONRepresentable>: JSONRepresentable {
    let items: [Item]
    let page: PageRequest
    /// How many there are on all pages.
    let total: Int
    /// Whether there are older ones that were not looked at.
    var isPartial = false

    func write(to json: inout JSONWriter) {
        json.object { json in writeMembers(to: &json) }
    }

    /// The members, for answers that add others beside them.
    func writeMembers(to json: inout JSONWriter) {
        json.member("data", items)
        json.member("pagination") { json in
            json.member("page", page.number)
            json.member("limit", page.size)
            json.member("total", total)
            json.member("totalPages", (total + page.size - 1) / page.size)
            if isPartial { json.member("isPartial", true) }
        }
    }
}
