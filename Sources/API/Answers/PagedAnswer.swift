import Shared

/// A page of a list as LiteMaaS clients read it.
struct PagedAnswer<Item: JSONRepresentable>: JSONRepresentable {
    let items: [Item]
    let page: PageRequest
    /// How many there are on all pages.
    let total: Int

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("data", items)
            json.member("pagination") { json in
                json.member("page", page.number)
                json.member("limit", page.size)
                json.member("total", total)
                json.member("totalPages", (total + page.size - 1) / page.size)
            }
        }
    }
}
