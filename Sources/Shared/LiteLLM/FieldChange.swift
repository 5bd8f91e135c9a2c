/// What an update does to one field.
package enum FieldChange<Value: Sendable & Equatable>: Sendable, Equatable {
    /// Leaves the field as it is: it is not sent.
    case keep
    /// Removes the value: `null` is sent.
    case clear
    /// Sets the value.
    case set(Value)

    /// `set` for a value, `clear` for nil: the full desired state.
    package init(desired value: Value?) {
        self = value.map(Self.set) ?? .clear
    }

    /// `set` for a value, `keep` for nil.
    package init(changed value: Value?) {
        self = value.map(Self.set) ?? .keep
    }

    /// What becomes of a value.
    package func applied(to value: Value?) -> Value? {
        switch self {
        case .keep: value
        case .clear: nil
        case .set(let new): new
        }
    }

    /// Changes a value.
    func apply(to value: inout Value?) {
        value = applied(to: value)
    }
}

extension KeyedEncodingContainer {
    mutating func encode<Value: Encodable>(_ change: FieldChange<Value>, forKey key: Key) throws {
        switch change {
        case .keep: break
        case .clear: try encodeNil(forKey: key)
        case .set(let value): try encode(value, forKey: key)
        }
    }
}
