-- What searches need beside the texts themselves: words and vectors. All of it is made of the texts, by the context
-- service, and can be made again: nothing here is in the log.
--
--   cca.memory_terms        one row per memory: its words; of code they are columns of cca.code_chunks
--   cca.search_changes      one row per corpus: how often what searches find has changed
--   cca.embedders           one row per corpus and model that makes vectors of its texts
--   cca.memory_vectors_<n>  one row per memory: its vector, made by the embedder n; the service makes these tables
--   cca.code_vectors_<n>    one row per chunk of code, likewise
--
-- Columns by which searches are limited are repeated here, so that an index can serve filter and order together.
-- `version` is the row's `stored_seq` (memories) or `chunk` (code): with another one the text is another.

CREATE SCHEMA IF NOT EXISTS cca;
CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;

CREATE TABLE cca.memory_terms (
    memory      text COLLATE "C" PRIMARY KEY,
    version     bigint NOT NULL,
    scope       text COLLATE "C" NOT NULL,
    role        text COLLATE "C",
    kind        text COLLATE "C" NOT NULL,
    created_at  timestamptz NOT NULL,
    words       integer NOT NULL,              -- how many the text has, with repetitions
    terms       tsvector NOT NULL              -- as `cca.search.terms` finds them
) WITH (fillfactor = 90);

CREATE INDEX ON cca.memory_terms USING gin (terms) WITH (fastupdate = off);
CREATE INDEX ON cca.memory_terms (scope, created_at);
CREATE INDEX ON cca.memory_terms (role, created_at);
CREATE INDEX ON cca.memory_terms (kind, created_at);
CREATE INDEX ON cca.memory_terms (created_at);

CREATE TABLE cca.search_changes (
    corpus      text COLLATE "C" PRIMARY KEY,  -- `memory` or `code`
    changes     bigint NOT NULL DEFAULT 0      -- goes up with each group of words or vectors that is written or removed
) WITH (fillfactor = 10);

INSERT INTO cca.search_changes (corpus) VALUES ('memory'), ('code');

CREATE TABLE cca.embedders (
    n           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    corpus      text COLLATE "C" NOT NULL,     -- `memory` or `code`
    id          text COLLATE "C" NOT NULL,     -- of the model
    revision    text COLLATE "C" NOT NULL,
    dimension   integer NOT NULL,
    state       text COLLATE "C" NOT NULL CHECK (state IN ('building', 'active', 'retired')),
    problem     text,                          -- why it gets no further at present
    created_at  timestamptz NOT NULL DEFAULT now(),
    changed_at  timestamptz NOT NULL DEFAULT now()  -- since when it is in this state
);

-- Searches of a corpus use one embedder; the same one is not built twice at a time.
CREATE UNIQUE INDEX ON cca.embedders (corpus) WHERE state = 'active';
CREATE UNIQUE INDEX ON cca.embedders (corpus, id, revision, dimension) WHERE state <> 'retired';
