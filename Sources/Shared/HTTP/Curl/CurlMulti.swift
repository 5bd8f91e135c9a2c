import CCurl

/// One libcurl multi handle.
///
/// `@unchecked Sendable`: libcurl lets `curl_multi_wakeup` be called from any thread; every other method is called on
/// the executor's loop thread only, and `CurlExecutor` never calls `wakeUp` once `close` may run.
@safe
final class CurlMulti: @unchecked Sendable {
    private var handle: UnsafeMutableRawPointer?

    private static let globalInit: CURLcode = curl_global_init(Int(CURL_GLOBAL_DEFAULT))

    init() {
        _ = Self.globalInit
        unsafe handle = curl_multi_init()
    }

    deinit { close() }

    /// Closes all connections and frees the handle; every later call does nothing.
    func close() {
        guard let open = unsafe handle.take() else { return }
        _ = unsafe curl_multi_cleanup(open)
    }

    func limitConnections(perHost: Int, total: Int) {
        _ = unsafe ccurl_multi_setopt_long(handle, CURLMOPT_MAX_HOST_CONNECTIONS, perHost)
        _ = unsafe ccurl_multi_setopt_long(handle, CURLMOPT_MAX_TOTAL_CONNECTIONS, total)
        // What may be open may be kept.
        _ = unsafe ccurl_multi_setopt_long(handle, CURLMOPT_MAXCONNECTS, total)
    }

    /// Starts a transfer. Nil, or the code of the failure.
    func add(_ easy: CurlEasy) -> CURLMcode? {
        let code = unsafe curl_multi_add_handle(handle, easy.handle)
        return code == CURLM_OK ? nil : code
    }

    func remove(_ easy: CurlEasy) {
        _ = unsafe curl_multi_remove_handle(handle, easy.handle)
    }

    /// Does what can be done without waiting. False when libcurl reports a broken handle.
    func perform() -> Bool {
        var running: Int32 = 0
        return unsafe curl_multi_perform(handle, &running) == CURLM_OK
    }

    /// The id of a finished transfer and its result, if there is one more.
    func nextFinished() -> (id: UInt64, code: CURLcode)? {
        var left: Int32 = 0
        while let message = unsafe curl_multi_info_read(handle, &left) {
            guard unsafe message.pointee.msg == CURLMSG_DONE else { continue }
            var tag: UnsafeMutableRawPointer?
            guard unsafe ccurl_getinfo_pointer(message.pointee.easy_handle, CURLINFO_PRIVATE, &tag) == CURLE_OK else {
                continue
            }
            return unsafe (UInt64(UInt(bitPattern: tag)), message.pointee.data.result)
        }
        return nil
    }

    /// Waits for network activity, a wake-up, libcurl's own timers or the time given, whichever comes first.
    func poll(milliseconds: Int32) {
        _ = unsafe curl_multi_poll(handle, nil, 0, milliseconds, nil)
    }

    /// Ends a `poll`, the current or the next one. From any thread.
    func wakeUp() {
        _ = unsafe curl_multi_wakeup(handle)
    }
}
