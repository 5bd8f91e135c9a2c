import HummingbirdCore
import NIOCore
import NIOHTTP1

/// What a connection may take, so that slow or endless clients hold nothing for long.
struct ConnectionLimits: Sendable {
    /// From the first byte of a request's head to its last.
    var head: TimeAmount = .seconds(10)
    /// From the head to the end of the body.
    var body: TimeAmount = .seconds(30)
    /// For a client that does not read what it is sent.
    var write: TimeAmount = .seconds(60)
    /// Without a request.
    var idle: TimeAmount = .seconds(60)
    /// Bytes of one body. More than a route reads: the rest of a body that was refused is read and dropped up to here,
    /// so that its sender gets to see the answer.
    var bodyBytes = 8 * APIContext.bodyLimit
    var headerBytes = 16 * 1024
    var headerCount = 100
}

extension HTTPServerBuilder {
    /// HTTP/1.1 within limits.
    static func http1(limits: ConnectionLimits) -> HTTPServerBuilder {
        .http1(
            configuration: .init(
                additionalChannelHandlers: [ConnectionGuard(limits)], idleTimeout: limits.idle,
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: limits.headerBytes, maxHeaderListSize: limits.headerBytes,
                    maxHeaderFieldCount: limits.headerCount)))
    }
}

/// Puts the two handlers that see to the limits where they belong: before the decoder, and behind it.
final class ConnectionGuard: ChannelInboundHandler, RemovableChannelHandler, Sendable {
    /// It looks at nothing itself.
    typealias InboundIn = Never

    private let limits: ConnectionLimits

    init(_ limits: ConnectionLimits) {
        self.limits = limits
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let clock = RequestClock(limits)
        do {
            let pipeline = context.pipeline.syncOperations
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(RequestProgress(clock, bodyBytes: limits.bodyBytes), position: .after(decoder))
            try pipeline.addHandler(clock, position: .first)
        } catch {
            // Without limits there is no service.
            context.close(promise: nil)
        }
    }
}

/// Closes the connection when a part of a request, or the reading of an answer, takes too long.
///
/// There is one timer, set again only when it has run out: fast requests come and go without touching it.
final class RequestClock: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let limits: ConnectionLimits
    private var requestDeadline: NIODeadline?
    private var writeDeadline: NIODeadline?
    private var timer: (task: Scheduled<Void>, at: NIODeadline)?
    private var context: ChannelHandlerContext?

    init(_ limits: ConnectionLimits) {
        self.limits = limits
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.task.cancel()
        timer = nil
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if requestDeadline == nil { requestDeadline = context.eventLoop.now + limits.head }
        context.fireChannelRead(data)
        wind()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writeDeadline = context.channel.isWritable ? nil : context.eventLoop.now + limits.write
        wind()
        context.fireChannelWritabilityChanged()
    }

    /// The head is there.
    func bodyBegan() {
        requestDeadline = context.map { $0.eventLoop.now + limits.body }
    }

    /// The request is there.
    func requestEnded() {
        requestDeadline = nil
    }

    private var deadline: NIODeadline? {
        [requestDeadline, writeDeadline].compactMap(\.self).min()
    }

    private func wind() {
        guard let context, let deadline, context.channel.isActive, timer.map({ deadline < $0.at }) ?? true else {
            return
        }
        timer?.task.cancel()
        let task = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.ring() }
        timer = (task, deadline)
    }

    private func ring() {
        timer = nil
        guard let context, let deadline else { return }
        if deadline <= context.eventLoop.now {
            context.close(promise: nil)
        } else {
            wind()
        }
    }
}

/// Tells the clock how far a request is, and ends one whose body has no end.
final class RequestProgress: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    private let clock: RequestClock
    private let bodyBytes: Int
    private var received = 0

    init(_ clock: RequestClock, bodyBytes: Int) {
        self.clock = clock
        self.bodyBytes = bodyBytes
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            received = 0
            clock.bodyBegan()
        case .body(let bytes):
            received += bytes.readableBytes
            if received > bodyBytes {
                context.close(promise: nil)
                return
            }
        case .end: clock.requestEnded()
        }
        context.fireChannelRead(data)
    }
}
