-- The index of code: what was found in directories on this machine, in pieces that can be searched. It follows from the
-- directories, not from the log: it can be dropped at any time and made again by another job. What the jobs did is in
-- the log (cca.code_jobs of the projector).
--
--   cca.code_projects  one row per project: which directory it is, and when it was looked at
--   cca.code_files     one row per file that was looked at
--   cca.code_chunks    one row per piece of a file: a function, a class, a section, or what stands between those
--
-- A file's row and its chunks are written in one transaction, so that what is there fits together however a job ends.

CREATE SCHEMA IF NOT EXISTS cca;

CREATE TABLE cca.code_projects (
    project              text COLLATE "C" PRIMARY KEY,
    path                 text NOT NULL,            -- of the directory or file, as it really is: no symlinks in it
    indexed_at           timestamptz               -- when a job was last through with it; NULL: none has been yet
) WITH (fillfactor = 70);

CREATE TABLE cca.code_files (
    project              text COLLATE "C" NOT NULL,
    path                 text COLLATE "C" NOT NULL,     -- in the project, with `/` between
    digest               bytea NOT NULL,           -- of the content
    size                 bigint NOT NULL,          -- bytes
    mtime_ns             bigint NOT NULL,
    language             text COLLATE "C" NOT NULL,
    chunks               integer NOT NULL,
    problem              text NOT NULL,            -- why there are none, or not those there should be; else empty
    made                 integer NOT NULL,         -- by which version of the rules its chunks were made
    job                  text COLLATE "C" NOT NULL,     -- the last that looked into it
    indexed_at           timestamptz NOT NULL,
    PRIMARY KEY (project, path)
) WITH (fillfactor = 90);

CREATE TABLE cca.code_chunks (
    chunk                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project              text COLLATE "C" NOT NULL,
    path                 text COLLATE "C" NOT NULL,
    language             text COLLATE "C" NOT NULL,
    kind                 text COLLATE "C" NOT NULL,     -- `function`, `class`, `section`, …; `text`: what stands between
    name                 text COLLATE "C" NOT NULL,     -- `Client.submit`; empty for what has none
    title                text NOT NULL,            -- path, name and signature: it is embedded before the text
    signature            text NOT NULL,
    start_line           integer NOT NULL,         -- from 1, both included; they alone change while a chunk is kept
    end_line             integer NOT NULL,
    text                 text NOT NULL,
    digest               bytea NOT NULL,           -- of all above but project and lines: it tells whether a chunk is the same
    words                integer NOT NULL,         -- terms of title and text, with repetitions
    terms                tsvector NOT NULL         -- of title and text, as `cca.search` makes them
) WITH (fillfactor = 90);

CREATE INDEX code_chunks_terms ON cca.code_chunks USING gin (terms) WITH (fastupdate = off);
CREATE INDEX code_chunks_file ON cca.code_chunks (project, path);
CREATE INDEX code_chunks_language ON cca.code_chunks (language);
CREATE INDEX code_chunks_digest ON cca.code_chunks (digest);
