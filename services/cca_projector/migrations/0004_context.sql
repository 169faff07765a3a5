-- What the log says of shared context, memories and the index of code. The rules are those of 0001. Rows of what was
-- deleted, has expired or was forgotten are gone; the log keeps what they said.
--
--   cca.context_values     one row per key of a scope (view: cca.contexts, which leaves out what has just expired)
--   cca.context_snapshots  one row per snapshot of a scope
--   cca.memories           one row per memory, with what counts for and against it
--   cca.task_memories      one row per memory that was put before a task
--   cca.memory_policies    one row per role: what is remembered of its tasks, and put before them
--   cca.code_jobs          one row per job that indexes code; what it makes is in tables of the context service

CREATE TABLE cca.context_values (
    name                 text COLLATE "C" PRIMARY KEY,  -- `<scope>/<key>`
    scope                text COLLATE "C" NOT NULL,     -- `task:ID`, `project:NAME`, …
    key                  text COLLATE "C" NOT NULL,
    value                jsonb,                    -- NULL when it is stored by its hash: `ref`
    ref                  text COLLATE "C",
    size                 bigint NOT NULL,          -- bytes as JSON
    set_at               timestamptz NOT NULL,
    expires_at           timestamptz,              -- NULL: it stays
    requester            text COLLATE "C",
    snapshot             text COLLATE "C",         -- it was put back from there
    seq                  bigint NOT NULL           -- the event that set it
) WITH (fillfactor = 70);

CREATE INDEX ON cca.context_values (scope, key);
CREATE INDEX ON cca.context_values (expires_at) WHERE expires_at IS NOT NULL;

CREATE VIEW cca.contexts AS
    SELECT scope, key, value, ref, size, set_at, expires_at, requester, snapshot, seq
    FROM cca.context_values WHERE expires_at IS NULL OR expires_at > now();

CREATE TABLE cca.context_snapshots (
    snapshot             text COLLATE "C" PRIMARY KEY,
    scope                text COLLATE "C" NOT NULL,
    ref                  text COLLATE "C" NOT NULL,     -- where the list of its keys is stored
    keys                 bigint NOT NULL,
    size                 bigint NOT NULL,
    revision             bigint NOT NULL,          -- where the log was
    note                 text NOT NULL,
    requester            text COLLATE "C",
    taken_at             timestamptz NOT NULL,
    restored             bigint NOT NULL,          -- how often, and when last
    restored_at          timestamptz,
    seq                  bigint NOT NULL
);

CREATE INDEX ON cca.context_snapshots (scope, taken_at DESC);

CREATE TABLE cca.memories (
    memory               text COLLATE "C" PRIMARY KEY,
    text                 text NOT NULL,            -- secrets are taken out of it before it comes into the log
    kind                 text COLLATE "C" NOT NULL,
    scope                text COLLATE "C" NOT NULL,
    digest               text COLLATE "C" NOT NULL,     -- of the text without differences of case and space
    role                 text COLLATE "C",         -- NULL: for all
    labels               jsonb NOT NULL,
    task                 text COLLATE "C",         -- where it comes from, as far as that is known
    agent                text COLLATE "C",
    source_role          text COLLATE "C",
    repo                 text COLLATE "C",
    requester            text COLLATE "C",
    redacted             jsonb NOT NULL,           -- how many secrets of which sort were taken out
    created_at           timestamptz NOT NULL,
    successes            bigint NOT NULL,
    failures             bigint NOT NULL,
    merged               bigint NOT NULL,          -- how often the same was learned again
    used                 bigint NOT NULL,          -- how often it was put before a task, and when last
    used_at              timestamptz,
    rated_at             timestamptz,
    stored_seq           bigint NOT NULL,          -- the event that stored it
    seq                  bigint NOT NULL           -- the last one about it
) WITH (fillfactor = 80);

CREATE INDEX ON cca.memories (stored_seq);
CREATE INDEX ON cca.memories (digest);
CREATE INDEX ON cca.memories (role, created_at DESC);
CREATE INDEX ON cca.memories (scope, created_at DESC);
CREATE INDEX ON cca.memories (task) WHERE task IS NOT NULL;

CREATE TABLE cca.task_memories (
    task                 text COLLATE "C" NOT NULL,
    memory               text COLLATE "C" NOT NULL,
    score                double precision NOT NULL,
    at                   timestamptz NOT NULL,
    seq                  bigint NOT NULL,
    PRIMARY KEY (task, memory)
);

CREATE INDEX ON cca.task_memories (memory, at DESC);

CREATE TABLE cca.memory_policies (
    role                 text COLLATE "C" PRIMARY KEY,  -- `*` for all that have none of their own
    policy               jsonb,                    -- NULL: nothing any more
    version              bigint NOT NULL,
    since                timestamptz NOT NULL,
    reason               text,
    requester            text COLLATE "C",
    seq                  bigint NOT NULL
);

CREATE TABLE cca.code_jobs (
    job                  text COLLATE "C" PRIMARY KEY,
    path                 text NOT NULL,
    project              text COLLATE "C" NOT NULL,
    state                text COLLATE "C" NOT NULL,     -- `running`, `completed`, `failed` or `canceled`
    tally                jsonb NOT NULL,           -- what it has done, as far as it has told
    started_at           timestamptz NOT NULL,
    ended_at             timestamptz,
    duration_s           double precision NOT NULL,
    problem              text NOT NULL,
    failures             jsonb NOT NULL,           -- {file: why}
    resumed              bigint NOT NULL,          -- how often it was cut short, and went on
    requester            text COLLATE "C",
    seq                  bigint NOT NULL           -- the event that began it
) WITH (fillfactor = 70);

CREATE INDEX ON cca.code_jobs (project, started_at DESC);
CREATE INDEX ON cca.code_jobs (started_at DESC);
