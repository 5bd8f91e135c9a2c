extension LiteLLMClient {
    /// The longest time that one management call can take; after it, no request of that call is on its way from here.
    package var callTimeLimit: Duration { settings.timeout }
}
