/// The shapes in which LiteLLM shows a key. They differ by endpoint in members and in how times are spelled.
enum KeyViews {
    /// How a shape spells times.
    typealias Spelling = (Moment) -> JSON

    /// Columns of a key that no request has set, as they stand in every shape.
    static let emptyColumns: JSONObject = [
        "key_alias": nil, "models": [], "aliases": [:], "config": [:], "router_settings": [:], "user_id": nil,
        "team_id": nil, "agent_id": nil, "project_id": nil, "permissions": [:], "max_parallel_requests": nil,
        "metadata": [:], "blocked": nil, "tpm_limit": nil, "rpm_limit": nil, "tpd_limit": nil, "max_budget": nil,
        "budget_duration": nil, "allowed_cache_controls": [], "allowed_routes": [], "key_type": "default",
        "access_group_ids": [], "model_max_budget": [:], "budget_fallbacks": [:], "budget_id": nil,
        "auto_rotate": false, "rotation_interval": nil, "budget_limits": nil, "object_permission": nil,
    ]

    /// The shape of /key/unblock, /team/info and the lists of teams.
    static func table(_ key: KeyRow) -> JSONObject { row(key, \.zulu).merged(with: ["token": .string(key.token)]) }

    /// The shape of /key/info and /key/update; `token` and `status` are put in by the caller.
    static func row(_ key: KeyRow, _ spelling: Spelling) -> JSONObject {
        common(key, spelling).merged(with: [
            "policies": [], "organization_id": nil, "litellm_organization_table": nil, "litellm_project_table": nil,
            "jwt_key_mappings": nil,
        ])
    }

    /// The shape of /key/block, /key/list and /user/info without a user: the organization goes by another name.
    static func token(_ key: KeyRow, _ spelling: Spelling) -> JSONObject {
        common(key, spelling).merged(with: ["token": .string(key.token), "org_id": nil])
    }

    /// An entry of /key/list with `return_full_object=true`.
    static func listed(_ key: KeyRow) -> JSON {
        .object(token(key, \.zulu).merged(with: listedOnly))
    }

    /// What a deleted key has in addition.
    static func deleted(_ key: DeletedKey, _ spelling: Spelling) -> JSONObject {
        token(key.row, spelling).merged(with: [
            "id": .string(key.id), "organization_id": nil, "deleted_at": spelling(key.deletedAt),
            "deleted_by": key.deletedBy, "deleted_by_api_key": .string(key.deletedByKey),
            "litellm_changed_by": JSON(key.changedBy),
        ])
    }

    private static func common(_ key: KeyRow, _ spelling: Spelling) -> JSONObject {
        func time(_ moment: Moment?) -> JSON { moment.map(spelling) ?? .null }
        return emptyColumns.merged(with: key.columns).merged(with: [
            "key_name": .string(key.name), "spend": .double(key.spend), "total_spend": .double(key.totalSpend),
            "expires": time(key.expires), "budget_reset_at": time(key.budgetResetAt),
            "created_at": spelling(key.createdAt), "created_by": key.createdBy, "updated_at": spelling(key.updatedAt),
            "updated_by": key.createdBy, "settings_updated_at": time(key.settingsUpdatedAt),
            "last_active": time(key.lastActive), "soft_budget_cooldown": false, "model_spend": [:],
            "object_permission_id": nil, "rotation_count": 0, "last_rotation_at": nil, "key_rotation_at": nil,
            "litellm_budget_table": nil,
        ])
    }

    private static let listedOnly: JSONObject = {
        let empty = [
            "team_spend", "team_alias", "team_tpm_limit", "team_rpm_limit", "team_tpd_limit", "team_max_budget",
            "team_soft_budget", "team_model_max_budget", "soft_budget", "team_model_aliases", "team_member",
            "team_metadata", "team_object_permission_id", "team_member_spend", "team_member_tpm_limit",
            "team_member_rpm_limit", "end_user_id", "end_user_max_budget", "organization_alias", "project_alias",
            "api_key", "user_role", "user_tpm_limit", "user_rpm_limit", "user_email", "user_spend",
            "user_max_budget", "request_route", "user", "created_by_user",
        ]
        var members = JSONObject(uniqueKeysWithValues: empty.map { ($0, .null) })
        members["team_models"] = []
        members["team_blocked"] = false
        members["is_session_token"] = false
        return members
    }()

    /// The answer of /key/generate: the request's own fields around what was decided here. It is an echo, not what
    /// is stored.
    static func generated(
        _ asked: JSONObject, secret: String, token: String, expires: Moment?, caller: String?, created: Moment,
        updated: Moment
    ) -> JSONObject {
        generatedColumns.merged(with: asked.filter { !$0.value.isNull && $0.key != "duration" }).merged(with: [
            "key": .string(secret), "key_name": .string(Identifier.shortened(secret)), "token": .string(token),
            "token_id": .string(token), "expires": expires?.zulu ?? .null, "created_by": JSON(caller),
            "updated_by": JSON(caller), "created_at": created.zulu, "updated_at": updated.zulu,
        ])
    }

    /// The members of a /key/generate or /user/new answer that no request has set.
    static let generatedColumns: JSONObject = {
        let empty = [
            "duration", "model_rpm_limit", "model_tpm_limit", "mcp_rpm_limit", "tag_rpm_limit", "guardrails",
            "policies", "prompts", "default_estimated_output_tokens", "end_user_budget_id", "tags",
            "disable_global_guardrails", "enable_prompt_caching", "enforced_params", "allowed_passthrough_routes",
            "denied_passthrough_routes", "allowed_vector_store_indexes", "rpm_limit_type", "tpm_limit_type",
            "litellm_budget_table", "organization_id", "expires",
        ]
        var members = emptyColumns.filter { $0.key != "auto_rotate" && $0.key != "rotation_interval" }
        for name in empty { members[name] = .null }
        members["spend"] = 0.0
        members["router_settings"] = ["model_group_alias": [:]]
        return members
    }()
}
