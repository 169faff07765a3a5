-- The tables that the projector keeps: what the log says, arranged for questions.
--
-- Meant for reading (the gateway, people, dashboards; SELECT only, every column is public):
--   cca.tasks              one row per task: what TaskView says, and its times, counts and costs
--   cca.attempts           one row per start of a task by a worker
--   cca.routing_decisions  one row per choice of a lane: candidates, propensity, seed, and what became of it
--   cca.agents             one row per worker name: its last session, and what it has done over all sessions
--   cca.events             the log, byte for byte, one row per event; cca.events_json shows it readably
--   cca.projections        how far each projection is: every table of projection `tasks` stands at its `seq`
--
-- Paging: newest first by `first_seq` (unique, in the order of submission, never changes):
--   SELECT … FROM cca.tasks WHERE state = $1 AND first_seq < $2 ORDER BY first_seq DESC LIMIT $3
-- works from an index alike for no filter, state, role, requester and kind. A filter by labels is
--   labels @> $1::jsonb AND labels <> '{}'   (the second half lets the partial index serve the first).
-- The history of an aggregate: SELECT … FROM cca.events WHERE subject = $1 AND seq > $2 ORDER BY seq LIMIT $3.
--
-- Rules. Every value follows from the log alone (times are the events' own), so that a replay gives the same rows.
-- `json` columns keep a document as it was said; `jsonb` ones are for searching. NUL characters, which Postgres
-- cannot hold in text, are shown as U+FFFD; cca.events.body has them. Indexes have no names of their own: a rebuilt
-- table must come out with the same ones.

CREATE SCHEMA IF NOT EXISTS cca;

CREATE TABLE cca.projections (
    name        text COLLATE "C" PRIMARY KEY,
    version     integer NOT NULL,              -- of the code that the rows were built with from the first event on
    build       integer NOT NULL DEFAULT 1,    -- counts rebuilds; a writer that knows another build must start over
    seq         bigint  NOT NULL DEFAULT 0,    -- position in the log: everything up to it is in the tables
    time        timestamptz,                   -- of the event at that position
    events      bigint  NOT NULL DEFAULT 0,    -- how many events that were
    passed      bigint  NOT NULL DEFAULT 0,    -- … of which of types that this projection does not know
    error       text,                          -- why it stands still; NULL while it runs
    error_seq   bigint,                        -- the event that could not be applied; NULL when none is to blame
    error_type  text
);

CREATE TABLE cca.tasks (
    task             text COLLATE "C" PRIMARY KEY,
    state            text COLLATE "C" NOT NULL,  -- submitted routed working input-required completed failed canceled rejected
    role             text COLLATE "C",           -- NULL, as description, when the task was rejected unread
    description      text,
    priority         text COLLATE "C" NOT NULL,
    lane             text COLLATE "C",           -- where it waits or runs, or ran last; NULL while not routed
    asked_lane       text COLLATE "C",           -- the only lane that it may go to, if one was asked for
    kind             text COLLATE "C",
    requester        text COLLATE "C",
    labels           jsonb NOT NULL,             -- {} when there are none
    input            json,
    max_attempts     integer NOT NULL,           -- starts allowed in all; a retry by hand adds to it
    timeout_s        double precision,
    agent            text COLLATE "C",           -- who runs it, or ran it last
    attempt          integer NOT NULL,           -- number of the last start; 0 before the first
    routes           integer NOT NULL,           -- number of the last routing decision; 0 before the first
    deliveries       integer NOT NULL,           -- how often the server had handed out its work when it was claimed
    work             bigint,                     -- the work message of the last start, and its deliveries
    delivery         integer NOT NULL,
    result           json,                       -- NULL until completed; JSON null when completed without one
    failure          json,                       -- the last attempt's Failure, until another attempt succeeds
    reason           text,                       -- why rejected or canceled
    waiting          text,                       -- what a task waits for that is not routed: a worker; else see retry_at
    progress         text,                       -- the last words of the running attempt
    fraction         double precision,
    retry_at         timestamptz,
    input_tokens     bigint NOT NULL,            -- over all attempts
    output_tokens    bigint NOT NULL,
    cost_usd         double precision NOT NULL,
    duration_s       double precision,           -- of the last attempt that ended, as its worker measured it
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    started_at       timestamptz,                -- first start
    ended_at         timestamptz,                -- NULL until over
    first_seq        bigint NOT NULL,            -- the event by which it came into being: the cursor of lists
    last_seq         bigint NOT NULL             -- the last event that is in this row
) WITH (fillfactor = 85);

CREATE UNIQUE INDEX ON cca.tasks (first_seq);
CREATE INDEX ON cca.tasks (state, first_seq);
CREATE INDEX ON cca.tasks (role, first_seq);
CREATE INDEX ON cca.tasks (requester, first_seq) WHERE requester IS NOT NULL;
CREATE INDEX ON cca.tasks (kind, first_seq) WHERE kind IS NOT NULL;
CREATE INDEX ON cca.tasks USING gin (labels jsonb_path_ops) WHERE labels <> '{}';

CREATE TABLE cca.attempts (
    task             text COLLATE "C" NOT NULL,
    attempt          integer NOT NULL,
    agent            text COLLATE "C",
    lane             text COLLATE "C",
    route            integer,                    -- the routing decision that led to it
    work             bigint,                     -- the work message by which it was claimed, and how often that
    delivery         integer,                    -- had been delivered then
    started_at       timestamptz,
    ended_at         timestamptz,                -- NULL while it runs
    outcome          text COLLATE "C",           -- completed failed lost canceled; NULL while it runs
    failure_kind     text COLLATE "C",           -- error timeout lost rate-limited rejected
    failure_message  text,
    failure_detail   text,
    exit_code        integer,
    retry_at         timestamptz,
    duration_s       double precision,
    input_tokens     bigint,
    output_tokens    bigint,
    cost_usd         double precision,
    start_seq        bigint,
    end_seq          bigint,
    PRIMARY KEY (task, attempt)
) WITH (fillfactor = 90);

CREATE INDEX ON cca.attempts (agent, start_seq);

CREATE TABLE cca.routing_decisions (
    task             text COLLATE "C" NOT NULL,
    route            integer NOT NULL,
    role             text COLLATE "C",
    lane             text COLLATE "C",
    policy           text COLLATE "C",
    propensity       double precision,
    seed             bigint,                     -- 63 bits of a hash: the draw can be made again
    candidates       jsonb,                      -- [{lane, score, probability, features, masked}]
    explored         boolean,
    decided_at       timestamptz,
    outcome          text COLLATE "C",           -- what became of the last attempt that it led to; NULL while open
    attempt          integer,
    agent            text COLLATE "C",
    ended_at         timestamptz,
    duration_s       double precision,
    seq              bigint,
    PRIMARY KEY (task, route)
) WITH (fillfactor = 90);

CREATE INDEX ON cca.routing_decisions (role, lane, seq);

CREATE TABLE cca.agents (
    agent            text COLLATE "C" PRIMARY KEY,
    state            text COLLATE "C" NOT NULL,  -- live left lost; unknown when it worked without ever joining
    role             text COLLATE "C",
    lane             text COLLATE "C",
    concurrency      integer,
    session          text,
    host             text,
    version          text,
    joined_at        timestamptz,                -- this session
    left_at          timestamptz,                -- NULL while live
    reason           text,
    started          bigint NOT NULL,            -- attempts, over all sessions
    completed        bigint NOT NULL,
    failed           bigint NOT NULL,            -- attempts that failed or were lost
    canceled         bigint NOT NULL,
    updated_at       timestamptz NOT NULL,
    first_seq        bigint NOT NULL,
    last_seq         bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE cca.events (
    seq              bigint PRIMARY KEY,         -- position in the log's stream
    subject          text COLLATE "C" NOT NULL,
    type             text COLLATE "C",           -- ce-type
    id               text COLLATE "C",           -- ce-id
    time             timestamptz NOT NULL,       -- ce-time; without one, when the stream stored it
    headers          bytea NOT NULL,             -- as stored, from "NATS/1.0" to the empty line
    body             bytea NOT NULL              -- as stored
);

CREATE INDEX ON cca.events (subject, seq);

CREATE FUNCTION cca.json_or_null(body bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN convert_from(body, 'UTF8')::jsonb;
EXCEPTION WHEN data_exception THEN              -- not UTF-8, not JSON, or JSON that jsonb cannot hold
    RETURN NULL;
END $$;

CREATE FUNCTION cca.headers_json(headers bytea) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(jsonb_object_agg(parts[1], parts[2]), '{}')
    FROM regexp_matches(encode(headers, 'escape'), '(?:^|\r\n|\n)([^:\r\n]+): ?([^\r\n]*)', 'g') AS parts
$$;

CREATE VIEW cca.events_json AS
    SELECT seq, subject, type, id, time, cca.headers_json(headers) AS headers, cca.json_or_null(body) AS body
    FROM cca.events;
