import Foundation
import Shared

extension FakeLiteLLM.State {
    // MARK: Reading

    func modelList(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let page = call.query["page"].flatMap(Int.init) ?? 1
        let size = call.query["size"].flatMap(Int.init) ?? 50
        let part = deployments.dropFirst((page - 1) * size).prefix(size)
        return (
            200,
            [
                "data": .array(Array(part)), "total_count": .int(deployments.count), "current_page": .int(page),
                "total_pages": .int((deployments.count + size - 1) / size), "size": .int(size),
            ]
        )
    }

    func modelInfo(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let id = call.query["litellm_model_id"] ?? ""
        guard let index = index(ofDeployment: id) else {
            return (400, ["detail": ["error": .string("Model id = \(id) not found on litellm proxy")]])
        }
        return (200, ["data": [deployments[index]]])
    }

    // MARK: Changing

    mutating func createModel(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        guard let name = call.text("model_name"), var params = call.body["litellm_params"]?.objectValue else {
            return (500, ["error": ["message": "Internal server error", "type": "internal_server_error"]])
        }
        var info = call.body["model_info"]?.objectValue ?? [:]
        let id = info["id"]?.stringValue ?? UUID().uuidString
        if index(ofDeployment: id) != nil, !deletedDeployments.contains(id) {
            return Self.error(
                500, "{'error': 'Failed to add model to db. Check your server logs for more details.'}",
                type: "auth_error")
        }
        deletedDeployments.remove(id)
        providerKeys[id] = params.removeValue(forKey: "api_key")?.stringValue
        info["id"] = .string(id)
        info["db_model"] = true
        let row: JSONValue = [
            "model_name": .string(name), "litellm_params": .object(params), "model_info": .object(info),
        ]
        if let index = index(ofDeployment: id) { deployments[index] = row } else { deployments.append(row) }
        return (200, ["model_id": .string(id), "model_name": .string(name)])
    }

    /// Members are merged; when `model_info` lacks the id, the deployment gets a new one.
    mutating func updateModel(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let parts = call.path.split(separator: "/")
        let id = (parts.count == 3 ? String(parts[1]) : call.body["model_info"]?["id"]?.stringValue) ?? ""
        guard let index = index(ofDeployment: id), !deletedDeployments.contains(id),
            var row = deployments[index].objectValue
        else { return Self.error(400, "Authentication Error, model not found", type: "auth_error") }
        guard row["model_info"]?["db_model"]?.boolValue == true else {
            return Self.error(
                400, "{'error': \"Can't edit model. Model in config. Store model in db via `/model/new`. to edit.\"}",
                type: "auth_error")
        }
        var params = call.body["litellm_params"]?.objectValue ?? [:]
        if let key = params.removeValue(forKey: "api_key")?.stringValue { providerKeys[id] = key }
        if let name = call.body["model_name"] { row["model_name"] = name }
        row["litellm_params"] = .object((row["litellm_params"]?.objectValue ?? [:]).merging(params) { $1 })
        if let info = call.body["model_info"]?.objectValue {
            var merged = (row["model_info"]?.objectValue ?? [:]).merging(info) { $1 }
            if info["id"] == nil { merged["id"] = .string(UUID().uuidString) }
            row["model_info"] = .object(merged)
        }
        deployments[index] = .object(row)
        return (200, .object(row))
    }

    mutating func deleteModel(_ call: FakeLiteLLMCall) -> (Int, JSONValue) {
        let id = call.text("id") ?? ""
        guard let index = index(ofDeployment: id), !deletedDeployments.contains(id),
            deployments[index]["model_info"]?["db_model"]?.boolValue == true
        else {
            return Self.error(400, "{'error': 'Model with id=\(id) not found in db'}", type: "auth_error")
        }
        providerKeys[id] = nil
        deletedDeployments.insert(id)
        if !listsDeletedModels { deployments.remove(at: index) }
        return (200, ["message": .string("Model: \(id) deleted successfully")])
    }

    private func index(ofDeployment id: String) -> Int? {
        deployments.firstIndex { $0["model_info"]?["id"]?.stringValue == id }
    }
}
