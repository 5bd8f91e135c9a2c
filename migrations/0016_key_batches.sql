-- Keys made many at once.
comment on table api_keys is 'Keys as they should be, and how far LiteLLM agrees.';
