package import Logging

/// How a process logs.
package struct LoggingSettings: Sendable, Equatable {
    /// The lowest level that is written.
    package var level: Logger.Level
    /// How a line looks.
    package var format: LogFormat
    /// Where lines go.
    package var stream: StandardStreamSink.Stream

    /// Info and above as JSON on standard error unless told otherwise.
    package init(
        level: Logger.Level = .info, format: LogFormat = .json, stream: StandardStreamSink.Stream = .standardError
    ) {
        self.level = level
        self.format = format
        self.stream = stream
    }
}

/// Sets the process's log handler.
package enum LoggingBootstrap {
    /// Makes every `Logger` of the process write as `settings` say. To be called once, first thing in `main`.
    ///
    /// - Parameters:
    ///   - settings: level, format and stream.
    ///   - service: the program's name, added to each line as `service` beside `pid`.
    ///   - metadataProvider: further metadata from the current task. The trace of `TraceContext.current` is always
    ///     added as `trace_id`.
    package static func bootstrap(
        _ settings: LoggingSettings, service: String, metadataProvider: Logger.MetadataProvider? = nil
    ) {
        let sink = StandardStreamSink(settings.stream)
        let provider = Logger.MetadataProvider.multiplex(
            [TraceContext.metadataProvider, metadataProvider].compactMap { $0 })
        let metadata: Logger.Metadata = [
            "service": "\(service)", "pid": "\(ProcessStatistics.processIdentifier)",
        ]
        LoggingSystem.bootstrap(
            { label, provider in
                JSONLogHandler(
                    label: label, level: settings.level, format: settings.format, sink: sink, metadata: metadata,
                    metadataProvider: provider)
            },
            metadataProvider: provider)
    }
}
