package import Foundation
package import Shared

/// Many keys that somebody asks for at once.
package struct KeyBatchRequest: Sendable {
    /// Somebody who is to have a key.
    package struct Person: Sendable {
        package enum Who: Sendable {
            case known(UUID)
            case named(username: String, email: String, fullName: String?)
        }

        package var who: Who
        /// How errors call the row, such as `users[3]` or `row 4`.
        package var place: String

        package init(_ who: Who, at place: String) {
            self.who = who
            self.place = place
        }
    }

    /// For whom the keys are.
    package enum People: Sendable {
        /// One key for each.
        case each([Person])
        /// All for one.
        case one(UUID, count: Int)
    }

    /// Unique among the batches of whoever asks.
    package var name: String
    package var template: KeyBatchTemplate
    /// How errors name the template's members: what stands before them.
    package var templatePath = ""
    package var labels: [String]
    /// Whether people are subscribed to the models first.
    package var subscribes: Bool
    package var people: People
    /// What people who are not known yet may do and spend.
    package var newcomers: KeyBatchNewcomers
    /// Whether whoever asks may make people.
    package var mayMakePeople: Bool
    /// Whether whoever asks may subscribe people to models, whatever was decided about that before.
    package var maySubscribe = true

    package init(
        name: String, template: KeyBatchTemplate, labels: [String], subscribes: Bool, people: People,
        newcomers: KeyBatchNewcomers, mayMakePeople: Bool
    ) {
        self.name = name
        self.template = template
        self.labels = labels
        self.subscribes = subscribes
        self.people = people
        self.newcomers = newcomers
        self.mayMakePeople = mayMakePeople
    }
}

/// What administrators ask for concerning many keys at once.
package struct KeyBatches: Sendable {
    /// Keys of one batch.
    package static let limit = 5000

    let queue: JobQueue
    let keys: KeyProvisioning
    let batches = PostgresKeyBatchStore()
    let audit = PostgresAuditStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue, keys: KeyProvisioning) {
        self.queue = queue
        self.keys = keys
    }

    // MARK: Create

    /// Stores a batch with the job that makes its keys. Asking for the same under the same name again gives the batch
    /// that there is, without a new job.
    ///
    /// - Throws: ``ProvisioningError`` `invalidBatch` with every row that cannot be used, `batchConflict` when the name
    ///   is taken by another batch, and what a single key would be refused with.
    package func create(
        _ request: KeyBatchRequest, by caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> (batch: KeyBatch, job: EnqueuedJob?) {
        let requester = caller.actor.requester
        let requesterId = requester.id ?? caller.actor.name
        if let known = try await batches.find(name: request.name, of: requesterId, in: transaction) {
            try Self.check(known, isWhat: request)
            return (known, nil)
        }
        guard request.maySubscribe || !request.subscribes else {
            throw ProvisioningError(
                .roleBeyondOwn,
                "Subscribing people needs the permission admin:subscriptions:write; without it send subscribe: false.",
                field: "subscribe")
        }
        try await check(template: request, in: transaction)
        let items = try await KeyBatchPeople(request: request).items(in: transaction)
        let new = NewKeyBatch(
            id: UUID(), name: request.name, requester: requesterId, requesterName: caller.actor.name,
            requestedBy: caller.actor.userId, personBehind: caller.personBehind, template: request.template,
            expiresAt: try expiry(of: request), labels: request.labels, subscribes: request.subscribes,
            newcomers: request.newcomers, peopleDigest: request.peopleDigest, items: items)
        guard let batch = try await batches.insert(new, in: transaction) else {
            // Somebody was faster.
            guard let known = try await batches.find(name: request.name, of: requesterId, in: transaction) else {
                throw ProvisioningError(.batchConflict, "The batch is being changed; send it again.", field: "name")
            }
            try Self.check(known, isWhat: request)
            return (known, nil)
        }
        let job = try await start(batch, requester, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: caller.actor, action: "API_KEYS_BULK_CREATE", resourceType: "key_batch",
                resourceId: batch.id.text,
                newValues: [
                    "name": .string(batch.name), "total": .int(batch.total),
                    "labels": .array(batch.labels.map(JSONValue.string)),
                    "models": .array(batch.template.modelIds.map(JSONValue.string)),
                ], jobId: job.id),
            in: transaction)
        return (try await batches.find(batch.id, in: transaction) ?? batch, job)
    }

    func start(
        _ batch: KeyBatch, _ requester: JobRequester, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        var options = JobOptions()
        options.requester = requester
        options.resource = JobResource(type: "key_batch", id: batch.id.text)
        let job = try await queue.enqueue(KeysBulk(batchId: batch.id), options: options, in: transaction)
        try await batches.setJob(job.id, of: batch.id, in: transaction)
        return job
    }

    // MARK: Rules

    private func check(template request: KeyBatchRequest, in transaction: PostgresTransaction) async throws {
        let template = request.template
        do {
            guard !template.modelIds.isEmpty else {
                throw ProvisioningError(.noModels, "A key needs at least one model.", field: "modelIds")
            }
            try template.limits.validate()
            try keys.check(
                models: try await keys.models.find(template.modelIds, in: transaction), asked: template.modelIds,
                granted: template.modelIds)
        } catch let error as ProvisioningError {
            throw ProvisioningError(
                error.code, error.message, field: error.field.map { request.templatePath + $0 }, values: error.values)
        }
    }

    /// When its keys end.
    private func expiry(of request: KeyBatchRequest) throws -> Date? {
        let template = request.template
        if let duration = template.duration {
            return try KeyDuration.end(of: duration, from: keys.now(), field: request.templatePath + "duration")
        }
        if let expiresAt = template.expiresAt, expiresAt <= keys.now() {
            throw ProvisioningError(
                .expiryInPast, "The time of expiry lies in the past.", field: request.templatePath + "expiresAt")
        }
        return template.expiresAt
    }

    /// Refuses a request that means something else than the batch of its name.
    private static func check(_ batch: KeyBatch, isWhat request: KeyBatchRequest) throws {
        var differences: [String] = []
        let asked = try JSONValue.encoding(request.template).objectValue ?? [:]
        let there = try JSONValue.encoding(batch.template).objectValue ?? [:]
        differences += Set(asked.keys).union(there.keys).sorted().filter { asked[$0] != there[$0] }
            .map { request.templatePath + $0 }
        if Set(batch.labels) != Set(request.labels) { differences.append("labels") }
        if batch.subscribes != request.subscribes { differences.append("subscribe") }
        if batch.peopleDigest != request.peopleDigest { differences.append("users") }
        guard differences.isEmpty else {
            throw ProvisioningError(
                .batchConflict,
                "There is a batch \(batch.name) (\(batch.id.text)) that differs in "
                    + "\(differences.joined(separator: ", ")); choose another name, or send what it was made of.",
                field: "name", values: differences)
        }
    }
}

/// How long keys last, as clients write it.
package enum KeyDuration {
    /// Ten years: beyond that a key had better not expire.
    private static let longest = 3650 * 86_400

    /// The end of a duration such as `7d`.
    ///
    /// - Throws: ``ProvisioningError`` `invalidLimit` for what is none.
    package static func end(of text: String, from now: Date, field: String) throws -> Date {
        guard let seconds = BudgetDuration.seconds(text), seconds <= longest else {
            throw ProvisioningError(
                .invalidLimit, "A duration is \(BudgetDuration.form), of ten years at most.", field: field,
                values: [text])
        }
        return now.addingTimeInterval(Double(seconds))
    }
}

extension KeyBatchRequest {
    /// A digest of for whom the keys are, as they were named: it stays the same when they have been made.
    var peopleDigest: String {
        switch people {
        case .one(let id, let count): return sha256Hex("one:\(id.text):\(count)")
        case .each(let people):
            let names = people.map { person -> JSONValue in
                switch person.who {
                case .known(let id): .string(id.text)
                case .named(let username, let email, let fullName):
                    .array([
                        .string(username.lowercased()), .string(email.lowercased()),
                        fullName.map(JSONValue.string) ?? .null,
                    ])
                }
            }
            return sha256Hex(JSONValue.array(names).encodedString())
        }
    }
}
