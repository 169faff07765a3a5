-- What the log says of tokens: what was spent, and what compression has saved. The rules are those of 0001.
--
--   cca.token_usage     what attempts used, added up by day, role, lane, agent, requester, model and kind of task
--   cca.token_savings   what compression has saved, and what was wanted back, by day, role, model and strategy
--   cca.task_contexts   one row per task that came with a context: how large it is, and what became of it
--   cca.token_policies  one row per role: how its contexts are compressed before they are dispatched
--
-- In the sums, text that is not known is empty, not NULL. Days are those of UTC. `key` is a hash of the columns by
-- which is summed, because together they may be longer than what an index holds. Money is summed in whole billionths
-- of a dollar: sums of those come out the same in any order. An attempt that has told no usage is in no sum.
--
-- New columns are NULL in the rows of events from before them, and the sums have nothing of those, until
-- `cca projections rebuild tasks` renews them.

ALTER TABLE cca.tasks
    ADD COLUMN cache_read_tokens     bigint,       -- over all attempts; NULL while none has told of a cache
    ADD COLUMN cache_write_tokens    bigint;

ALTER TABLE cca.attempts
    ADD COLUMN model                 text COLLATE "C",  -- as its provider spells it
    ADD COLUMN cache_read_tokens     bigint,       -- input that came from the provider's cache, besides input_tokens
    ADD COLUMN cache_write_tokens    bigint,
    ADD COLUMN peak_context_tokens   bigint,       -- the largest single request; NULL, as the next, when not told
    ADD COLUMN counted_tokens        bigint,       -- what our own counter had said of all the input
    ADD COLUMN cost_from             text COLLATE "C";  -- `reported` by the worker, or from the price `table`

CREATE INDEX ON cca.attempts USING brin (ended_at);

CREATE TABLE cca.token_usage (
    key                  text COLLATE "C" PRIMARY KEY,
    day                  date NOT NULL,            -- on which the attempts ended
    role                 text COLLATE "C" NOT NULL,
    lane                 text COLLATE "C" NOT NULL,
    agent                text COLLATE "C" NOT NULL,
    requester            text COLLATE "C" NOT NULL,
    model                text COLLATE "C" NOT NULL,
    kind                 text COLLATE "C" NOT NULL,
    first_seq            bigint NOT NULL,          -- the first event that is in this row
    attempts             bigint NOT NULL,          -- that have told a usage
    failed               bigint NOT NULL,          -- of them failed or were lost, and used failed_tokens in all
    failed_tokens        bigint NOT NULL,
    input_tokens         bigint NOT NULL,          -- neither read from nor written to a cache
    output_tokens        bigint NOT NULL,
    cache_read_tokens    bigint NOT NULL,
    cache_write_tokens   bigint NOT NULL,
    cost_nanousd         bigint NOT NULL,          -- in all; estimated_nanousd of it is from the price table
    estimated_nanousd    bigint NOT NULL,
    peak_context_tokens  bigint NOT NULL,          -- the largest of all
    resent_tokens        bigint NOT NULL,          -- input beyond the largest request of an attempt: sent before, mostly
    counted_tokens       bigint NOT NULL,          -- what our own counter had said of the input of some attempts …
    counted_actual       bigint NOT NULL           -- … and what that input was when it was billed
) WITH (fillfactor = 70);

CREATE INDEX ON cca.token_usage (day);

CREATE TABLE cca.token_savings (
    key                  text COLLATE "C" PRIMARY KEY,
    day                  date NOT NULL,
    role                 text COLLATE "C" NOT NULL,
    model                text COLLATE "C" NOT NULL,  -- whose tokens were counted; empty for what was wanted back
    strategy             text COLLATE "C" NOT NULL,  -- empty for the row that tells of whole texts
    first_seq            bigint NOT NULL,
    saved_tokens         bigint NOT NULL,          -- by this strategy
    retrieved            bigint NOT NULL,          -- how often a cut of this strategy was expanded, and to what size
    retrieved_tokens     bigint NOT NULL,
    texts                bigint NOT NULL,          -- whole texts that were compressed; condensed of them: task contexts
    condensed            bigint NOT NULL,
    missed               bigint NOT NULL,          -- contexts that are over their budget still
    cuts                 bigint NOT NULL,          -- pieces that were folded, by this strategy; in the row of whole
                                                   -- texts those of events that do not tell the strategies
    before_tokens        bigint NOT NULL,          -- of whole texts
    after_tokens         bigint NOT NULL
) WITH (fillfactor = 70);

CREATE INDEX ON cca.token_savings (day);

CREATE TABLE cca.task_contexts (
    task                 text COLLATE "C" PRIMARY KEY,
    ref                  text COLLATE "C",         -- of the context as it was submitted: the same text has the same
    chars                bigint,                   -- its length in characters
    submitted_at         timestamptz,
    seq                  bigint,                   -- the event that has it
    role                 text COLLATE "C",         -- these are NULL until it is condensed
    model                text COLLATE "C",
    before_tokens        bigint,
    after_tokens         bigint,
    saved                jsonb,                    -- {strategy: tokens}
    cuts                 bigint,                   -- pieces that were folded, by all strategies
    retrieved            bigint,                   -- how often one was, in this task
    original             text COLLATE "C",         -- reference under which all of it is stored
    version              bigint,                   -- of the policies
    reached              boolean,                  -- whether it was within its budget then
    condensed_at         timestamptz
) WITH (fillfactor = 90);

CREATE INDEX ON cca.task_contexts USING brin (submitted_at, condensed_at);

CREATE TABLE cca.token_policies (
    role                 text COLLATE "C" PRIMARY KEY,  -- `*` for all that have none of their own
    policy               jsonb,                    -- NULL: not compressed any more
    version              bigint NOT NULL,
    since                timestamptz NOT NULL,
    reason               text,
    requester            text COLLATE "C",
    seq                  bigint NOT NULL
);
