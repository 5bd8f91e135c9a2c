/// The shapes in which LiteLLM shows a model deployment.
enum ModelViews {
    /// An entry of /model/info and of its versions.
    ///
    /// - Parameter teams: the teams that may use the model, where the endpoint tells.
    static func deployment(_ model: ModelRow, teams: [String]?) -> JSON {
        let hidden: Set<String> = ["api_key", "input_cost_per_token", "output_cost_per_token"]
        var parameters = model.parameters.filter { !hidden.contains($0.key) }.merged(with: parameterFlags)
        if model.isStored {
            for name in ["input_cost_per_token", "output_cost_per_token"] {
                parameters[name] = model.parameters[name]
            }
        }
        return [
            "model_name": .string(model.name), "litellm_params": .object(parameters),
            "model_info": .object(info(model, teams: teams)),
        ]
    }

    private static func info(_ model: ModelRow, teams: [String]?) -> JSONObject {
        let priced = ["input_cost_per_token", "output_cost_per_token"].filter {
            model.parameters[$0] != nil || model.info[$0] != nil
        }
        var info = unset.merged(with: model.info).merged(with: [
            "id": .string(model.deploymentID), "db_model": .bool(model.isStored), "member_auto_router": false,
            "key": .string(model.target), "litellm_provider": .string(model.provider),
            "supported_openai_params": JSON(openAIParameters), "pricing_overrides": JSON(priced),
        ])
        for name in priced { info[name] = .double(model.price(name)) }
        if model.isStored { info["blocked"] = .bool(model.blocked) }
        if let teams {
            info["access_via_team_ids"] = JSON(teams)
            info["direct_access"] = true
        }
        return info
    }

    /// An entry of /models.
    static func entry(_ model: ModelRow) -> JSON {
        var entry: JSONObject = [
            "id": .string(model.name), "object": "model", "created": 1_677_610_602, "owned_by": "openai",
        ]
        for name in ["mode", "max_input_tokens", "max_output_tokens"] { entry[name] = model.info[name] }
        return .object(entry)
    }

    /// An entry of /model_group/info.
    static func group(_ model: ModelRow) -> JSON {
        var group: JSONObject = [
            "model_group": .string(model.name), "providers": [.string(model.provider)],
            "input_cost_per_token": .double(model.price("input_cost_per_token")),
            "output_cost_per_token": .double(model.price("output_cost_per_token")), "input_cost_per_pixel": nil,
            "mode": model.info["mode"] ?? .null, "tpm": model.parameters["tpm"] ?? .null,
            "rpm": model.parameters["rpm"] ?? .null, "itpm": nil, "otpm": nil,
            "supported_openai_params": JSON(openAIParameters), "supported_reasoning_efforts": nil,
            "configurable_clientside_auth_params": nil, "is_public_model_group": false, "health_status": nil,
            "health_response_time": nil, "health_checked_at": nil,
        ]
        for name in ["max_input_tokens", "max_output_tokens"] { group[name] = JSON(model.info[name]?.number) }
        for feature in features { group[feature] = .bool(model.info[feature]?.boolean ?? false) }
        return .object(group)
    }

    /// The answer of /model/new and /model/update: texts among the parameters are shown encrypted.
    static func stored(_ model: ModelRow) -> JSON {
        var parameters = parameterFlags
        for (name, value) in model.parameters {
            parameters[name] = value.string.map { .string(encrypted($0)) } ?? value
        }
        return [
            "model_id": .string(model.id), "model_name": .string(model.name), "litellm_params": .object(parameters),
            "model_info": .object(
                model.info.merged(with: [
                    "id": .string(model.deploymentID), "db_model": false, "member_auto_router": false,
                ])),
            "blocked": .bool(model.blocked), "created_at": model.createdAt.zulu, "created_by": "default_user_id",
            "updated_at": model.updatedAt.zulu, "updated_by": "default_user_id",
        ]
    }

    /// Something that tells nothing about `text`, as the real encryption would.
    private static func encrypted(_ text: String) -> String { "enc-\(Identifier.sha256("salt \(text)").prefix(48))==" }

    private static let parameterFlags: JSONObject = [
        "allow_client_keepalive_override": false, "use_in_pass_through": false, "use_litellm_proxy": false,
        "use_xai_oauth": false, "merge_reasoning_content_in_choices": false,
    ]

    private static let features = [
        "supports_parallel_function_calling", "supports_vision", "supports_web_search", "supports_url_context",
        "supports_reasoning", "supports_function_calling", "supports_fast_mode",
    ]

    /// The better known of the members LiteLLM sends as null.
    private static let unset: JSONObject = {
        let names = [
            "mode", "max_tokens", "max_input_tokens", "max_output_tokens", "input_cost_per_token",
            "output_cost_per_token", "cache_creation_input_token_cost", "cache_read_input_token_cost",
            "input_cost_per_character", "input_cost_per_query", "input_cost_per_second", "input_cost_per_image",
            "input_cost_per_audio_token", "output_cost_per_audio_token", "output_cost_per_character",
            "output_cost_per_image", "output_cost_per_reasoning_token", "output_cost_per_second",
            "output_vector_size", "supports_system_messages", "supports_response_schema", "supports_tool_choice",
            "supports_assistant_prefill", "supports_prompt_caching", "supports_audio_input",
            "supports_audio_output", "supports_pdf_input", "supports_embedding_image_input",
            "supports_native_streaming", "supports_web_search", "supports_url_context", "supports_reasoning",
            "supports_computer_use", "tiered_pricing", "tpm", "rpm",
        ]
        return JSONObject(uniqueKeysWithValues: names.map { ($0, .null) })
    }()

    private static let openAIParameters = [
        "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "max_tokens", "max_completion_tokens", "n",
        "presence_penalty", "seed", "stop", "stream", "stream_options", "temperature", "top_p", "tools",
        "tool_choice", "function_call", "functions", "parallel_tool_calls", "response_format",
    ]
}
