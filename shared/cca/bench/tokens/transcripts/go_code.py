"""Go as people write it: files of a service, put together from functions of many shapes with changing names."""

import random
from collections.abc import Sequence

from cca.bench.tokens.transcripts.words import Words, fill

FUNCTIONS = (
    """
// $Verb$Thing returns the $thing with the given id, or ErrNotFound when it $phrase.
func (s *Store) $Verb$Thing(ctx context.Context, id string) (*$Thing, error) {
	row := s.db.QueryRowContext(ctx, `SELECT id, $field, $field2, version FROM $things WHERE id = $1`, id)
	var out $Thing
	if err := row.Scan(&out.ID, &out.$Field, &out.$Field2, &out.Version); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return nil, ErrNotFound
		}
		return nil, fmt.Errorf("$verb $thing %s: %w", id, err)
	}
	return &out, nil
}
""",
    """
func (h *Handler) $Verb$Things(w http.ResponseWriter, r *http.Request) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > $large {
		limit = $small
	}
	items, next, err := h.$things.List(r.Context(), r.URL.Query().Get("cursor"), limit)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.reply(w, http.StatusOK, page[$Thing]{Items: items, Next: next})
}
""",
    """
// $Verb runs until the context is done. A $thing that $phrase is put back with a delay.
func (w *Worker) $Verb(ctx context.Context) error {
	ticker := time.NewTicker($small * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case msg, ok := <-w.in:
			if !ok {
				return nil
			}
			if err := w.$verbOne(ctx, msg); err != nil {
				w.log.Warn("$verb failed", "$thing", msg.ID, "attempt", msg.Attempt, "err", err)
				w.retry(msg, backoff(msg.Attempt))
			}
		case <-ticker.C:
			w.metrics.Gauge("$thing.pending", float64(len(w.in)))
		}
	}
}
""",
    """
func backoff(attempt int) time.Duration {
	if attempt > $small {
		attempt = $small
	}
	base := time.Duration(1<<uint(attempt)) * $large * time.Millisecond
	return base + time.Duration(rand.Int63n(int64(base)/4+1))
}
""",
    """
type $Thing struct {
	ID        string     `json:"id" db:"id"`
	$Field    string     `json:"$field" db:"$field"`
	$Field2   int64      `json:"$field2" db:"$field2"`
	$Field3   *time.Time `json:"$field3,omitempty" db:"$field3"`
	Version   int        `json:"version" db:"version"`
}
""",
    """
func (c *Client) $verb(ctx context.Context, method, path string, $thing, out any) error {
	var body io.Reader
	if $thing != nil {
		raw, err := json.Marshal($thing)
		if err != nil {
			return fmt.Errorf("encode %s: %w", path, err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("X-$Thing-$Field", c.$fieldc)
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return &$ThingError{Code: res.StatusCode, Path: path, Attempt: $small}
	}
	return json.NewDecoder(res.Body).Decode(out)
}
""",
    """
func dedupe$Things(in []$Thing) []$Thing {
	seen := make(map[string]struct{}, len(in))
	out := in[:0]
	for _, item := range in {
		key := item.$Field + "/" + item.ID
		if _, ok := seen[key]; ok {
			continue
		}
		seen[key] = struct{}{}
		out = append(out, item)
	}
	return out
}
""",
    """
// Allow reports whether one more $thing may pass in this window of $small seconds.
func (l *Limiter) Allow(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	$thing, ok := l.$things[key]
	if !ok {
		$thing = &bucket{$fieldc: l.burst, last: now}
		l.$things[key] = $thing
	}
	$thing.$fieldc = math.Min(l.burst, $thing.$fieldc+now.Sub($thing.last).Seconds()*l.rate)
	$thing.last = now
	if $thing.$fieldc < 1 {
		return false
	}
	$thing.$fieldc--
	return true
}
""",
    """
func Test$Verb$Thing(t *testing.T) {
	cases := map[string]struct {
		in   $Thing
		want int64
		err  error
	}{
		"$adj":  {in: $Thing{ID: "a", $Field2: $small}, want: $small},
		"$adj2": {in: $Thing{ID: "b", $Field2: -1}, err: Err$Adj2},
		"empty": {in: $Thing{}, err: ErrNotFound},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := $Verb(tc.in)
			if !errors.Is(err, tc.err) {
				t.Fatalf("error %v, want %v", err, tc.err)
			}
			if got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}
""",
    """
func (s *Store) with$ThingTx(ctx context.Context, $verb func(tx *sql.Tx) error) (err error) {
	tx, err := s.$thing2DB.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return fmt.Errorf("begin $verb $thing: %w", err)
	}
	defer func() {
		if p := recover(); p != nil {
			_ = tx.Rollback()
			panic(p)
		}
		if err != nil {
			_ = tx.Rollback()
			return
		}
		err = tx.Commit()
	}()
	return $verb(tx)
}
""",
    """
func parse$Field(raw string) ($Field, error) {
	switch strings.ToLower(strings.TrimSpace(raw)) {
	case "", "$adj":
		return $Field$Adj, nil
	case "$adj2":
		return $Field$Adj2, nil
	case "$adj3":
		return $Field$Adj3, nil
	}
	return 0, fmt.Errorf("$field %q $phrase", raw)
}
""",
    """
func (r *Registry) $Verb(name string, $thing *$Thing) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.$things[name]; ok && old.Version >= $thing.Version {
		return fmt.Errorf("$thing %s: version %d is not after %d", name, $thing.Version, old.Version)
	}
	r.$things[name] = $thing
	for _, ch := range r.watchers {
		select {
		case ch <- name:
		default: // a slow watcher reads the whole list later
		}
	}
	return nil
}
""",
    """
func load$Thing(path string) (cfg $ThingConfig, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return cfg, err
	}
	cfg.$Field, cfg.$Field2 = $small, $large
	if err := yaml.Unmarshal(raw, &cfg); err != nil {
		return cfg, fmt.Errorf("%s: %w", path, err)
	}
	if cfg.$Field2 < cfg.$Field {
		return cfg, fmt.Errorf("%s: $field2 %d is below $field %d", path, cfg.$Field2, cfg.$Field)
	}
	return cfg, nil
}
""",
)

IMPORTS = (
    "bytes", "context", "database/sql", "encoding/json", "errors", "fmt", "io", "math", "math/rand", "net/http", "os",
    "strconv", "strings", "sync", "time",
)  # fmt: skip


def module(rng: random.Random, package: str, shapes: Sequence[str]) -> str:
    """The text of a Go file."""
    words = Words(rng, package=package)
    imports = "\n".join(f'\t"{name}"' for name in sorted(rng.sample(IMPORTS, rng.randint(5, 10))))
    head = (
        f"package {package}\n\nimport (\n{imports}\n\n"
        f'\t"github.com/{words["part"]}works/{package}/internal/{words["part2"]}"\n)\n'
    )
    constants = fill(
        "\nconst (\n\tdefault$Field = $small\n\tmax$Field2  = $large\n)\n\nvar (\n"
        '\tErrNotFound = errors.New("$thing not found")\n\tErr$Adj = errors.New("$thing $phrase")\n)\n',
        words,
    )
    bodies = []
    for number, shape in enumerate(shapes):
        bodies.append(fill(shape, words if number % 3 == 0 else Words(rng, thing=words["thing"])))
    return head + constants + "".join(bodies)
