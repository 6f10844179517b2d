-- The first schema. Times are epoch ms, booleans 0/1, lists and meta JSON text.
-- `site`: one row per fact about this database: site_id, lamport, docs and terms (BM25 needs both sums).
create table site (k text primary key, v any) strict, without rowid;

-- A project is a name and the keys by which a directory is recognised as it.
create table project (
  seq integer primary key,            -- short, goes into scope_key
  id text not null unique,            -- UUIDv7
  name text not null unique collate nocase,
  created_at integer not null
) strict;

-- kind: 'git-dir' (real path of git's common directory), 'git-inode' (dev:ino:birth), 'remote' (normalised URL),
--       'dir' (real path of a plain or explicitly bound directory).
-- via:  how the key came: 'made' | 'moved' | 'remote' | 'bound'. announced: the user has been told. unlinked: never join by it again.
create table project_key (
  kind text not null,
  key text not null,
  project_id text not null references project(id),
  via text not null default 'made',
  announced integer not null default 1,
  unlinked integer not null default 0,
  created_at integer not null,
  primary key (kind, key)
) strict, without rowid;
create index project_key_project on project_key (project_id);

create table memory (
  seq integer primary key,            -- rowid of the FTS row
  id text not null unique,            -- UUIDv7
  text text not null,
  kind text not null,
  scope text not null check (scope in ('global', 'project', 'session')),
  project text references project(id),
  tool text,
  actor text not null,
  session text,
  subject text,
  aliases text not null default '[]',
  tags text not null default '[]',
  confidence real not null,
  benefit real,
  consistency real,
  pinned integer not null default 0,
  created_at integer not null,
  updated_at integer not null,
  ttl_ms integer,
  expires_at integer,
  superseded_by text,
  tombstone integer not null default 0,
  count integer not null default 1,
  site_id text not null,
  lamport integer not null,
  source text not null,
  meta text not null default '{}',
  -- Derived, rebuilt whenever text, aliases, tags, subject or scope change:
  scope_key text not null,            -- 'g' | 'p<project.seq>' | 's<hash of session>'
  terms text not null,                -- '<scope_key>_<stem>' in order, joined by a space: what FTS indexes and BM25 counts
  length integer not null,            -- number of stems
  text_hash integer not null          -- 63-bit hash of scope_key, tool and text: finds exactly equal memories
) strict;
create index memory_text_hash on memory (text_hash);
create index memory_scope on memory (scope_key, kind, seq) where tombstone = 0 and superseded_by is null;
-- What every run is told: one short index, so that it takes one look-up whatever else is in a scope.
create index memory_stable on memory (scope_key, seq)
  where (pinned = 1 or kind in ('rule', 'preference')) and tombstone = 0 and superseded_by is null;
create index memory_subject on memory (scope_key, subject) where subject is not null and tombstone = 0 and superseded_by is null;
create index memory_tool on memory (tool, seq) where tool is not null;
create index memory_created on memory (created_at);
create index memory_superseded on memory (superseded_by) where superseded_by is not null;

-- Every term carries its scope, so that a question walks over the lists of its own scopes only: at 100,000 memories in 20
-- projects an intersection with a scope column took 11 ms where this takes 2.
create virtual table memory_fts using fts5 (
  terms, content = 'memory', content_rowid = 'seq', tokenize = "unicode61 remove_diacritics 0 tokenchars '_'"
);
create virtual table memory_vocab using fts5vocab (memory_fts, 'row');

-- What a memory was before it changed, so that edit, supersede and forget can be shown and undone.
create table memory_history (
  seq integer primary key,
  memory_id text not null,
  at integer not null,
  op text not null,                   -- edit | supersede | forget | restore | pin | unpin | merge
  before text not null                -- the memory as JSON
) strict;
create index memory_history_memory on memory_history (memory_id, seq);

-- Near-duplicates: both live, linked, waiting for the user's word.
create table memory_link (
  older text not null, newer text not null, kind text not null default 'near', created_at integer not null,
  primary key (older, newer)
) strict, without rowid;

-- What a tool said and nobody accepted yet. Never read by recall.
create table proposal (
  id text primary key,                -- UUIDv7
  text text not null, kind text not null, scope text not null, project text, tool text, actor text not null,
  tags text not null default '[]', confidence real not null, created_at integer not null, source text not null, meta text not null default '{}'
) strict, without rowid;

-- Every version of a persona; the newest of a project (null = global) is the current one. Empty text = removed.
create table persona (
  seq integer primary key,
  project text references project(id),
  text text not null, created_at integer not null, site_id text not null, lamport integer not null, actor text not null
) strict;
create index persona_project on persona (project, seq);
