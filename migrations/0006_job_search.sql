-- What ended without success is looked for by state and error code among very many successes, which pay nothing for it.
create index job_history_unsuccessful on job_history (id, error_code) where outcome <> 10;
