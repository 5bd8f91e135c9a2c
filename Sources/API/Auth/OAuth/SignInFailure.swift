import HTTPTypes
import Shared

/// Why a sign-in did not come about. No part of it holds a secret or a text that the provider wrote.
struct SignInFailure: Error, Sendable, Equatable {
    enum Kind: Sendable {
        /// What came does not prove who it is: 400.
        case refused
        /// The provider or the person said no: 403.
        case denied
        /// The provider cannot be asked now: 503.
        case unavailable
    }

    let kind: Kind
    /// A word for the audit trail, such as `id_token_expired`.
    let reason: String
    /// What the client is told.
    let message: String
    /// More for the log.
    var detail: String?

    /// 400 with the sentence that people get; what exactly was wrong is in the audit trail.
    static func refused(_ reason: String, detail: String? = nil) -> SignInFailure {
        SignInFailure(
            kind: .refused, reason: reason, message: "The sign-in provider's answer was not accepted; sign in again.",
            detail: detail)
    }

    /// 503.
    static func unavailable(_ reason: String, detail: String? = nil) -> SignInFailure {
        SignInFailure(
            kind: .unavailable, reason: reason,
            message: "The sign-in provider cannot be used now; sign in again later.",
            detail: detail)
    }

    var apiError: APIError {
        switch kind {
        case .refused: APIError(.badRequest, .invalidInput, message)
        case .denied: APIError(.forbidden, .forbidden, message)
        case .unavailable: .unavailable(message, afterSeconds: 10)
        }
    }
}

extension SignInFailure {
    /// A word of the provider as it may be kept: the letters that the standard's error codes have, else `other`.
    static func word(_ text: String?) -> String {
        guard let text, (1...40).contains(text.utf8.count),
            text.utf8.allSatisfy({ (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || $0 == UInt8(ascii: "_") })
        else { return "other" }
        return text
    }
}
