/// The bodies of the endpoints.
enum Schemas {
    /// Limits and settings that keys, users and teams share.
    static let limits = Schema([
        "models": .list, "max_budget": .number, "max_parallel_requests": .whole, "metadata": .object,
        "tpm_limit": .whole, "rpm_limit": .whole, "tpd_limit": .whole, "budget_duration": .text,
        "budget_limits": .list, "model_max_budget": .object, "model_rpm_limit": .object,
        "model_tpm_limit": .object, "guardrails": .texts, "policies": .texts, "prompts": .texts, "blocked": .flag,
        "object_permission": .object, "soft_budget": .number, "organization_id": .text, "router_settings": .object,
        "access_group_ids": .texts, "tags": .list,
    ])

    /// Settings that keys and users share.
    static let keyLike = Schema([
        "key_alias": .text, "duration": .text, "spend": .number, "user_id": .text, "team_id": .text,
        "agent_id": .text, "allowed_cache_controls": .list, "config": .object, "permissions": .object,
        "budget_fallbacks": .object, "aliases": .object, "budget_id": .text, "enforced_params": .texts,
        "allowed_routes": .list, "project_id": .text, "key_type": .text, "auto_rotate": .flag,
        "rotation_interval": .text,
    ])

    static let keyGenerate = limits.and(keyLike).and(Schema(["key": .text]))
    static let keyUpdate = keyGenerate
    static let keyName = Schema(["key": .text], required: ["key"])
    static let keyDelete = Schema(["keys": .texts, "key_aliases": .texts])
    static let resetSpend = Schema(["reset_to": .number], required: ["reset_to"])

    static let userFields = limits.and(keyLike).and(
        Schema(["user_email": .text, "user_alias": .text, "user_role": .text, "password": .text]))
    static let userNew = userFields.and(
        Schema([
            "teams": .list, "auto_create_key": .flag, "send_invite_email": .flag, "sso_user_id": .text,
            "organizations": .texts,
        ]))
    static let userDelete = Schema(["user_ids": .texts], required: ["user_ids"])

    static let teamFields = limits.and(
        Schema([
            "team_alias": .text, "team_member_budget": .number, "model_aliases": .object,
            "default_team_member_models": .texts,
        ]))
    static let teamNew = teamFields.and(
        Schema([
            "team_id": .text, "admins": .texts, "members": .texts, "members_with_roles": .list,
            "team_member_permissions": .texts,
        ]))
    static let teamUpdate = Schema(["team_id": .text], required: ["team_id"]).and(teamFields)
    static let teamName = Schema(["team_id": .text], required: ["team_id"])
    static let teamModels = Schema(["team_id": .text, "models": .texts], required: ["team_id", "models"])
    static let teamDelete = Schema(["team_ids": .texts], required: ["team_ids"])
    static let memberAdd = Schema(
        [
            "member": .anything, "team_id": .text, "max_budget_in_team": .number, "budget_duration": .text,
            "allowed_models": .texts,
        ], required: ["member", "team_id"])
    static let memberUpdate = Schema(
        [
            "team_id": .text, "user_id": .text, "user_email": .text, "max_budget_in_team": .number, "role": .text,
            "tpm_limit": .whole, "rpm_limit": .whole, "budget_duration": .text, "allowed_models": .texts,
        ], required: ["team_id"])
    static let memberDelete = Schema(
        ["team_id": .text, "user_id": .text, "user_email": .text], required: ["team_id"])

    static let model = Schema([
        "model_name": .text, "litellm_params": .object, "model_info": .object, "blocked": .flag,
    ])
    static let modelDelete = Schema(["id": .text], required: ["id"])
}
