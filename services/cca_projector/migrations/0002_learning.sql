-- What the log says of how routing is learned. The rules are those of 0001.
--
--   cca.policies        one row per version of the routing policy: routing_decisions.version leads here
--   cca.policy_changes  one row per change of what is learned and how: settings, features, candidates
--
-- New columns are NULL in the rows of events from before them, until `cca projections rebuild tasks` renews those.

ALTER TABLE cca.tasks
    ADD COLUMN deadline_s    double precision,     -- it was to be over so many seconds after created_at
    ADD COLUMN quality       double precision;     -- what its result is worth, 0 to 1; NULL while nobody has said

ALTER TABLE cca.routing_decisions
    ADD COLUMN version       bigint,               -- of the learned policy; 0 when none was used
    ADD COLUMN x             jsonb,                -- {feature: value in units of 2**-12}
    ADD COLUMN quality       double precision,     -- the last rating of its outcome
    ADD COLUMN tokens        bigint,               -- input and output, of the last attempt that it led to
    ADD COLUMN cost_usd      double precision;     -- of that attempt

CREATE TABLE cca.policies (
    version          bigint PRIMARY KEY,
    position         bigint NOT NULL,              -- the last event that it was learned from
    algorithm        text COLLATE "C" NOT NULL,
    digest           text COLLATE "C" NOT NULL,    -- SHA-256 of the statistics that it was derived from
    decisions        bigint NOT NULL,              -- with a known outcome, in those statistics
    time             timestamptz NOT NULL,
    seq              bigint NOT NULL               -- the event that says so: what decides from here on
);

CREATE INDEX ON cca.policies (seq);

CREATE TABLE cca.policy_changes (
    seq              bigint PRIMARY KEY,
    time             timestamptz NOT NULL,
    type             text COLLATE "C" NOT NULL,    -- cca.policy.configured.v1 vocabulary-grown shadow-started shadow-stopped
    algorithm        text COLLATE "C",             -- configured, or tried
    params           jsonb,                        -- as configured; what is at its default is not in it
    names            jsonb,                        -- the features that the model got slots for
    position         bigint,                       -- from which event on a candidate is tried
    promote          boolean,                      -- whether it takes over once it is better for certain
    reason           text,
    requester        text COLLATE "C"
);
