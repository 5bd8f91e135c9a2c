package import Testing

extension Trait where Self == TimeLimitTrait {
    /// Ends a test that hangs. It is no bound of how long a test may take: Swift Testing starts tests together, and the
    /// limit runs while they wait for one of the test databases, so a slow machine needs many times a test's own time.
    package static var hangGuard: Self { .timeLimit(.minutes(30)) }
}
