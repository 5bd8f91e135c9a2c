// swift-tools-version: 6.2
import PackageDescription

// Versions are exact: Package.resolved is not committed, so the manifest is the lock file.
let dependencies: [Package.Dependency] = [
    .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    .package(
        url: "https://github.com/apple/swift-configuration", exact: "1.4.0",
        traits: [.defaults, "CommandLineArguments"]),
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
    .package(url: "https://github.com/vapor/jwt-kit", exact: "5.7.1"),
    .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
]

let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let configuration: Target.Dependency = .product(name: "Configuration", package: "swift-configuration")
let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")
let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore: Target.Dependency = .product(name: "HummingbirdCore", package: "hummingbird")
let hummingbirdTesting: Target.Dependency = .product(name: "HummingbirdTesting", package: "hummingbird")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let jwt: Target.Dependency = .product(name: "JWTKit", package: "jwt-kit")
let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

let package = Package(
    name: "litemaas-backend",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "litemaas-api", targets: ["API"]),
        .executable(name: "litemaas-worker", targets: ["Worker"]),
        .executable(name: "litemaasctl", targets: ["litemaasctl"]),
        .executable(name: "litellm-simulator", targets: ["litellm-simulator"]),
    ],
    dependencies: dependencies,
    targets: [
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(
            name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev", "libssl-dev"])]),
        .target(
            name: "Shared",
            dependencies: ["CLibPQ", "CCurl", log, metrics, crypto, lifecycle, configuration]),
        .target(name: "Jobs", dependencies: ["Shared", log, metrics, crypto, lifecycle]),
        .executableTarget(
            name: "API",
            dependencies: [
                "Shared", "Jobs", hummingbird, hummingbirdCore, httpTypes, nioCore, nioHTTP1, jwt, crypto, log, metrics,
                lifecycle, signals, arguments, configuration, yams,
            ],
            resources: [.copy("OpenAPI/openapi.yaml"), .copy("OpenAPI/docs")]),
        .executableTarget(
            name: "Worker",
            dependencies: [
                "Shared", "Jobs", hummingbird, httpTypes, nioCore, log, metrics, lifecycle, signals, arguments,
                configuration,
            ]),
        .executableTarget(
            name: "litemaasctl",
            dependencies: ["Shared", "Jobs", arguments, log, crypto, lifecycle, signals, configuration, yams],
            path: "ops/litemaasctl"),
        .executableTarget(
            name: "litellm-simulator",
            dependencies: [
                hummingbird, httpTypes, nioCore, nioHTTP1, nioPosix, arguments, crypto, log, lifecycle, signals,
            ],
            path: "ops/litellm-simulator"),
        .target(
            name: "TestSupport", dependencies: ["Shared", "Jobs", log, crypto, lifecycle],
            path: "Tests/TestSupport"),
        .testTarget(name: "SharedTests", dependencies: ["Shared", "TestSupport", log, metrics, crypto, lifecycle]),
        .testTarget(name: "JobsTests", dependencies: ["Shared", "Jobs", "TestSupport", log, lifecycle]),
        .testTarget(
            name: "APITests",
            dependencies: [
                "API", "Shared", "Jobs", "TestSupport", hummingbird, hummingbirdTesting, httpTypes, nioCore,
                nioEmbedded, nioHTTP1, jwt, yams, crypto, cryptoExtras, log, metrics, lifecycle,
            ]),
        .testTarget(
            name: "WorkerTests",
            dependencies: [
                "Worker", "Shared", "Jobs", "TestSupport", hummingbird, hummingbirdTesting, httpTypes, nioCore, log,
                lifecycle,
            ]),
        .testTarget(
            name: "IntegrationTests",
            dependencies: ["Shared", "Jobs", "TestSupport", log, lifecycle]),
        .testTarget(name: "ArchitectureTests", dependencies: ["Shared", "Jobs", yams]),
        .testTarget(name: "ContractTests", dependencies: ["TestSupport", crypto, nioCore, nioHTTP1, nioPosix]),
    ]
)

// One set of flags for every Swift target.
for target in package.targets where target.type != .system {
    target.swiftSettings = [
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0335-existential-any.md
        .enableUpcomingFeature("ExistentialAny"),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0409-access-level-on-imports.md
        .enableUpcomingFeature("InternalImportsByDefault"),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0444-member-import-visibility.md
        .enableUpcomingFeature("MemberImportVisibility"),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0470-isolated-conformances.md
        .enableUpcomingFeature("InferIsolatedConformances"),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0481-weak-let.md
        .enableUpcomingFeature("ImmutableWeakCaptures"),
        // https://github.com/swiftlang/swift-evolution/blob/main/proposals/0458-strict-memory-safety.md
        .strictMemorySafety(),
        .treatAllWarnings(as: .error),
    ]
}
