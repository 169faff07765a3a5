"""What psql prints: tables, definitions, plans."""

import random
from collections.abc import Sequence
from typing import Any

from cca.bench.tokens.transcripts.words import FIELDS, Words


def aligned(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table as psql prints it: numbers to the right, the rest to the left."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max([len(column), *(len(row[number]) for row in texts)]) for number, column in enumerate(columns)]
    right = [
        all(isinstance(row[number], int | float) or row[number] is None for row in rows)
        for number in range(len(columns))
    ]
    out = [
        " " + " | ".join(column.center(width) for column, width in zip(columns, widths, strict=True)),
        "-" + "-+-".join("-" * width for width in widths) + "-",
    ]
    for row in texts:
        cells = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        out.append((" " + " | ".join(cells)).rstrip())
    return "\n".join([*out, f"({len(rows)} rows)" if len(rows) != 1 else "(1 row)"])


def described(rng: random.Random, table: str, words: Words) -> str:
    """`\\d table`."""
    kinds = ("bigint", "text", "timestamp with time zone", "numeric(12,2)", "jsonb", "boolean", "integer", "uuid")
    columns = [
        ("id", "bigint", "not null", f"nextval('{table}_id_seq'::regclass)"),
        ("tenant_id", "bigint", "not null", ""),
    ]
    columns += [
        (name, rng.choice(kinds), rng.choice(("not null", "")), rng.choice(("", "", "now()", "0", "'{}'::jsonb")))
        for name in rng.sample(FIELDS, rng.randint(7, 12))
    ]
    body = aligned(("Column", "Type", "Nullable", "Default"), columns).rsplit("\n", 1)[0]
    name = columns[-1][0]
    return "\n".join(
        (
            f'                 Table "public.{table}"',
            body,
            "Indexes:",
            f'    "{table}_pkey" PRIMARY KEY, btree (id)',
            f'    "{table}_{name}_idx" btree ({name}) WHERE {name} IS NOT NULL',
            "Check constraints:",
            f'    "{table}_{name}_check" CHECK ({name} >= {rng.randint(2, 90)})',
            "Foreign-key constraints:",
            f'    "{table}_tenant_id_fkey" FOREIGN KEY (tenant_id) REFERENCES {words["things4"]}(id) ON DELETE '
            f"{rng.choice(('CASCADE', 'RESTRICT', 'SET NULL'))}",
        )
    )


def plan(rng: random.Random, table: str, slow: bool) -> tuple[str, str, str]:
    """A plan with its times; also the line that matters, and the time in all."""
    rows, took = rng.randint(800_000, 9_000_000), rng.uniform(2_000, 40_000) if slow else rng.uniform(2, 60)
    scan = (
        (
            f"Parallel Seq Scan on {table}  (cost=0.00..{rows / 10:.2f} rows={rows // 30} width=88) "
            f"(actual time={took / 90:.3f}..{took * 0.9:.3f} rows={rows // 40} loops=3)"
        )
        if slow
        else (
            f"Index Scan using {table}_tenant_id_idx on {table}  "
            f"(cost=0.43..{rng.uniform(80, 900):.2f} rows=212 width=88) (actual "
            f"time=0.041..{took * 0.8:.3f} rows=207 loops=1)"
        )
    )
    total = f"Execution Time: {took:.3f} ms"
    field = rng.choice(FIELDS)
    sort = f"external merge  Disk: {rng.randint(9_000, 400_000)}kB" if slow else "top-N heapsort  Memory: 41kB"
    lines = [
        (
            f" Limit  (cost={rows / 9:.2f}..{rows / 9 + 1:.2f} rows=50 width=112) (actual "
            f"time={took * 0.98:.3f}..{took * 0.99:.3f} rows=50 loops=1)"
        ),
        "   Buffers: shared hit=" + f"{rng.randint(100, 9_000)} read={rng.randint(10_000, 900_000) if slow else 0}",
        (
            f"   ->  Sort  (cost={rows / 9:.2f}..{rows / 8:.2f} rows={rows // 30} width=112) (actual "
            f"time={took * 0.97:.3f}..{took * 0.98:.3f} rows=50 loops=1)"
        ),
        f"         Sort Key: {table[0]}.{field} DESC",
        f"         Sort Method: {sort}",
        (
            f"         ->  Hash Join  (cost=12.50..{rows / 10:.2f} rows={rows // 30} width=112) "
            f"(actual time=0.391..{took * 0.94:.3f} rows={rows // 31} loops=1)"
        ),
        f"               Hash Cond: ({table[0]}.tenant_id = t.id)",
        f"               ->  {scan}",
        f"                     Filter: (({field} IS NOT NULL) AND (state = ANY ('{{open,held}}'::text[])))",
        f"                     Rows Removed by Filter: {rows // 2}",
        (
            f"               ->  Hash  (cost=8.00..8.00 rows=300 width=24) (actual time=0.211..0.212 "
            f"rows={rng.randint(200, 300)} loops=1)"
        ),
        "                     Buckets: 1024  Batches: 1  Memory Usage: 25kB",
        f" Planning Time: {rng.uniform(0.2, 3):.3f} ms",
        f" {total}",
    ]
    return (
        "                                QUERY PLAN\n" + "-" * 100 + "\n" + "\n".join(lines) + f"\n({len(lines)} rows)",
        scan.split("  (cost")[0],
        total,
    )
