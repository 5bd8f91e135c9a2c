/// One page of a list, and how long the list is.
package struct Page<Item: Sendable>: Sendable {
    /// The items of this page.
    package var items: [Item]
    /// How many there are on all pages.
    package var total: Int

    /// A page.
    package init(items: [Item], total: Int) {
        self.items = items
        self.total = total
    }
}

/// Which page of a list is wanted.
package struct PageRequest: Sendable, Equatable {
    /// Counted from 1.
    package var number: Int
    /// Items on a page.
    package var size: Int

    /// Numbers below 1 count as 1; nothing is said about an upper limit, which is the caller's to set.
    package init(number: Int = 1, size: Int = 20) {
        self.number = max(number, 1)
        self.size = max(size, 1)
    }

    /// How many items come before this page; saturates instead of overflowing.
    package var offset: Int {
        let (product, overflow) = (number - 1).multipliedReportingOverflow(by: size)
        return overflow ? .max : product
    }
}
