-- Files of usage, and single requests where the operator keeps them.
comment on table usage_days is 'Days of usage (UTC) that were taken over as a whole.';
