"""TypeScript as people write it: modules and components, put together from pieces of many shapes."""

import random
from collections.abc import Sequence

from cca.bench.tokens.transcripts.words import Words, fill

FUNCTIONS = (
    """
export interface $Thing {
  id: string;
  $fieldc: string;
  $fieldc2: number;
  $fieldc3?: Date | null;
  $thing2Ids: readonly string[];
}
""",
    """
export async function $verb$Thing(id: string, signal?: AbortSignal): Promise<$Thing> {
  const response = await fetch(`${API_BASE}/$things/${encodeURIComponent(id)}`, {
    headers: { accept: 'application/json', authorization: `Bearer ${await token()}` },
    signal,
  });
  if (response.status === 404) throw new NotFoundError('$thing', id);
  if (!response.ok) throw new HttpError(response.status, await response.text());
  return $thingSchema.parse(await response.json());
}
""",
    """
export const $thingSchema = z.object({
  id: z.string().uuid(),
  $fieldc: z.string().min(1).max($small),
  $fieldc2: z.number().int().nonnegative(),
  $fieldc3: z.coerce.date().nullish(),
});
""",
    """
export function use$Things(filter: $ThingFilter) {
  const [items, setItems] = useState<$Thing[]>([]);
  const [error, setError] = useState<Error | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    list$Things(filter, controller.signal)
      .then((page) => setItems(page.items))
      .catch((reason) => {
        if (!controller.signal.aborted) setError(reason);
      });
    return () => controller.abort();
  }, [filter.$fieldc, filter.$fieldc2]);
  return { items, error, loading: error === null && items.length === 0 };
}
""",
    """
export function $ThingTable({ items, onSelect }: { items: $Thing[]; onSelect(id: string): void }) {
  const [sort, setSort] = useState<keyof $Thing>('$fieldc');
  const rows = useMemo(() => [...items].sort((a, b) => compare(a[sort], b[sort])), [items, sort]);
  if (rows.length === 0) return <Empty title="No $things" hint="A $thing that $phrase is not shown." />;
  return (
    <table className="w-full text-sm">
      <thead>
        <tr>
          <Th onClick={() => setSort('$fieldc')}>$Field</Th>
          <Th onClick={() => setSort('$fieldc2')} align="right">$Field2</Th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.id} onClick={() => onSelect(row.id)} className="hover:bg-slate-50">
            <td>{row.$fieldc}</td>
            <td className="text-right tabular-nums">{format(row.$fieldc2)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
""",
    """
export class $ThingQueue extends EventEmitter {
  private readonly pending = new Map<string, $Thing>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly flushMs = $large, private readonly max = $small) {
    super();
  }

  push($thing: $Thing): void {
    this.pending.set($thing.id, $thing);
    if (this.pending.size >= this.max) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), this.flushMs);
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.pending.size === 0) return;
    const batch = [...this.pending.values()];
    this.pending.clear();
    this.emit('batch', batch);
  }
}
""",
    """
router.post('/$things/:id/$verb', requireRole('$adj'), async (req, res, next) => {
  try {
    const input = $verbSchema.parse(req.body);
    const $thing = await $things.$verb(req.params.id, input, req.user.id);
    res.status(200).json(present($thing));
  } catch (error) {
    if (error instanceof ConflictError) {
      res.status(409).json({ code: '$thing_conflict', message: error.message });
      return;
    }
    next(error);
  }
});
""",
    """
function reducer(state: State, action: Action): State {
  switch (action.type) {
    case '$thing/$verb':
      return { ...state, $things: { ...state.$things, [action.id]: action.$thing }, dirty: true };
    case '$thing/removed': {
      const { [action.id]: _gone, ...$things } = state.$things;
      return { ...state, $things, selected: state.selected === action.id ? null : state.selected };
    }
    case 'saved':
      return { ...state, dirty: false, savedAt: action.at };
    default:
      return state;
  }
}
""",
    """
export function group$Things($things: readonly $Thing[]): Map<string, $Thing[]> {
  const groups = new Map<string, $Thing[]>();
  for (const $thing of $things) {
    const key = $thing.$fieldc || '$adj';
    const group = groups.get(key);
    if (group) group.push($thing);
    else groups.set(key, [$thing]);
  }
  return groups;
}
""",
    """
export async function with$FieldRetry<T>(work: () => Promise<T>, attempts = $small): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt >= attempts || !isTransient(error)) throw error;
      await sleep(Math.min($large, 50 * 2 ** attempt) * (0.75 + Math.random() / 2));
    }
  }
}
""",
    """
describe('$verb$Thing', () => {
  it('leaves a $thing alone that $phrase', async () => {
    const $thing = make$Thing({ $fieldc: '$adj', $fieldc2: $small });
    await $verb$Thing($thing.id);
    expect(await store.get($thing.id)).toMatchObject({ $fieldc: '$adj', $fieldc2: $small });
  });

  it('asks once when two callers want the same', async () => {
    const [first, second] = await Promise.all([$verb$Thing('a'), $verb$Thing('a')]);
    expect(first).toBe(second);
    expect(server.requests).toHaveLength(1);
  });
});
""",
    """
const formatter = new Intl.NumberFormat('en-GB', { style: 'currency', currency: 'EUR' });

export function describe$Thing($thing: $Thing, now = new Date()): string {
  const age = Math.floor((now.getTime() - ($thing.$fieldc3?.getTime() ?? 0)) / 86_400_000);
  if (age < 1) return `today, ${formatter.format($thing.$fieldc2 / 100)}`;
  if (age < $small) return `${age} days ago`;
  return '$adj';
}
""",
)

IMPORTS = (
    "import { useEffect, useMemo, useState } from 'react';", "import { z } from 'zod';",
    "import { EventEmitter } from 'node:events';", "import express from 'express';",
    "import { format, compare } from '@/lib/format';", "import { HttpError, NotFoundError } from '@/lib/errors';",
    "import { token } from '@/auth/session';", "import { Empty, Th } from '@/components/table';",
)  # fmt: skip


def module(rng: random.Random, shapes: Sequence[str]) -> str:
    """The text of a TypeScript file."""
    words = Words(rng)
    head = "\n".join(rng.sample(IMPORTS, rng.randint(3, 6)))
    constants = fill("\nconst API_BASE = '/api/v$small';\nconst MAX_$FIELD = $large;\n", words)
    bodies = []
    for number, shape in enumerate(shapes):
        bodies.append(fill(shape, words if number % 3 == 0 else Words(rng, thing=words["thing"])))
    return head + "\n" + constants + "".join(bodies)
