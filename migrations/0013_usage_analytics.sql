-- Usage as people and administrators look at it.
comment on table usage_daily is 'What one key used of one model on one day (UTC), as LiteLLM told it.';
