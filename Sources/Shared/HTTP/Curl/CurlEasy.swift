import CCurl

/// One libcurl easy handle, used for one transfer after the other.
@safe
final class CurlEasy {
    let handle: UnsafeMutableRawPointer
    /// libcurl keeps a pointer to it while the transfer runs.
    private var headerList: UnsafeMutablePointer<curl_slist>?

    init?() {
        guard let handle = unsafe curl_easy_init() else { return nil }
        unsafe self.handle = unsafe handle
    }

    deinit {
        unsafe curl_easy_cleanup(handle)
        unsafe curl_slist_free_all(headerList)
    }

    /// Forgets all options, keeps the connections.
    func reset() {
        unsafe curl_easy_reset(handle)
        unsafe curl_slist_free_all(headerList)
        unsafe headerList = nil
    }

    func set(_ option: CURLoption, _ value: Int) throws(HTTPTransportError) {
        try check(unsafe ccurl_setopt_long(handle, option, value))
    }

    func set(_ option: CURLoption, _ value: String) throws(HTTPTransportError) {
        let code = unsafe value.withCString { unsafe ccurl_setopt_string(handle, option, $0) }
        try check(code)
    }

    func set(_ option: CURLoption, offset: Int) throws(HTTPTransportError) {
        try check(unsafe ccurl_setopt_offset(handle, option, offset))
    }

    func set(_ option: CURLoption, tag: UInt64) throws(HTTPTransportError) {
        try check(unsafe ccurl_setopt_pointer(handle, option, UnsafeRawPointer(bitPattern: UInt(tag))))
    }

    func clear(_ option: CURLoption) throws(HTTPTransportError) {
        try check(unsafe ccurl_setopt_string(handle, option, nil))
    }

    /// Copies the body into the handle.
    func setBody(_ body: [UInt8]) throws(HTTPTransportError) {
        try set(CURLOPT_POSTFIELDSIZE_LARGE, offset: body.count)
        let code = unsafe body.withUnsafeBytes {
            unsafe ccurl_setopt_pointer(handle, CURLOPT_COPYPOSTFIELDS, $0.baseAddress)
        }
        try check(code)
    }

    func setHeaders(_ lines: [String]) throws(HTTPTransportError) {
        for line in lines {
            guard let list = unsafe curl_slist_append(headerList, line) else {
                throw HTTPTransportError.unsendable("out of memory")
            }
            unsafe headerList = unsafe list
        }
        try check(unsafe ccurl_setopt_list(handle, CURLOPT_HTTPHEADER, headerList))
    }

    /// Has libcurl call back into the transfer, which must outlive its run.
    func setSink(_ sink: CurlTransfer) throws(HTTPTransportError) {
        let pointer = unsafe Unmanaged.passUnretained(sink).toOpaque()
        try check(unsafe ccurl_setopt_pointer(handle, CURLOPT_WRITEDATA, pointer))
        try check(unsafe ccurl_setopt_pointer(handle, CURLOPT_HEADERDATA, pointer))
        try check(unsafe ccurl_setopt_pointer(handle, CURLOPT_PREREQDATA, pointer))
        try check(
            unsafe ccurl_setopt_write(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
                unsafe receive(bytes, size * count, context) { unsafe $0.receiveBody($1) }
            })
        try check(
            unsafe ccurl_setopt_write(handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
                unsafe receive(bytes, size * count, context) { unsafe $0.receiveHeaderLine($1) }
            })
        try check(
            unsafe ccurl_setopt_prereq(handle, CURLOPT_PREREQFUNCTION) { context, _, _, _, _ in
                guard let context = unsafe context else { return CURL_PREREQFUNC_ABORT }
                let transfer = unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
                return transfer.maySend() ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
            })
    }

    /// Has libcurl ask the transfer, which must outlive its run, before it connects to an address.
    func setAddressCheck(_ transfer: CurlTransfer) throws(HTTPTransportError) {
        let pointer = unsafe Unmanaged.passUnretained(transfer).toOpaque()
        try check(unsafe ccurl_setopt_pointer(handle, CURLOPT_OPENSOCKETDATA, pointer))
        try check(
            unsafe ccurl_setopt_opensocket(handle, CURLOPT_OPENSOCKETFUNCTION) { context, _, address in
                guard let context = unsafe context, let address = unsafe address else { return ccurl_bad_socket() }
                let transfer = unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
                var (high, low): (UInt64, UInt64) = (0, 0)
                let isKnown = unsafe ccurl_address(address, &high, &low) == 1
                guard transfer.mayConnect(to: isKnown ? IPAddress(high: high, low: low) : nil) else {
                    return ccurl_bad_socket()
                }
                return unsafe ccurl_open_socket(address)
            })
    }

    func number(_ info: CURLINFO) -> Int {
        var value = 0
        return unsafe ccurl_getinfo_long(handle, info, &value) == CURLE_OK ? value : 0
    }

    func offset(_ info: CURLINFO) -> Int {
        var value: curl_off_t = 0
        return unsafe ccurl_getinfo_offset(handle, info, &value) == CURLE_OK ? value : 0
    }

    private func check(_ code: CURLcode) throws(HTTPTransportError) {
        guard code != CURLE_OK else { return }
        throw HTTPTransportError.unsendable(curlErrorText(code), curlCode: code)
    }
}

/// libcurl's text for a code; it never holds any part of the request.
func curlErrorText(_ code: CURLcode) -> String {
    guard let text = unsafe curl_easy_strerror(code) else { return "error \(code.rawValue)" }
    return unsafe String(cString: text)
}

extension HTTPTransportError {
    static func unsendable(_ reason: String, curlCode: CURLcode = CURLE_OK) -> HTTPTransportError {
        HTTPTransportError(
            .invalidRequest, curlCode: Int32(curlCode.rawValue), requestMayHaveReachedServer: false,
            message: "the request cannot be sent: \(reason)")
    }
}

/// Passes bytes to the transfer; any other number than `count` makes libcurl end the transfer.
private func receive(
    _ bytes: UnsafeMutablePointer<CChar>?, _ count: Int, _ context: UnsafeMutableRawPointer?,
    _ body: (CurlTransfer, UnsafeRawBufferPointer) -> Bool
) -> Int {
    guard let context = unsafe context else { return 0 }
    let transfer = unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
    return unsafe body(transfer, UnsafeRawBufferPointer(start: bytes, count: count)) ? count : 0
}
