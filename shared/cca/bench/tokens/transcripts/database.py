"""Database work: tables of psql, plans, CSV, definitions, locks."""

from typing import Any

from cca.bench.tokens.transcripts.briefs import OPERATOR, onwards, opening
from cca.bench.tokens.transcripts.clock import Clock
from cca.bench.tokens.transcripts.psql import aligned, described, plan
from cca.bench.tokens.transcripts.script import Script, Transcript
from cca.bench.tokens.transcripts.words import (
    CITIES,
    COMPANIES,
    FIELDS,
    PRODUCTS,
    Words,
    fill,
    hexadecimal,
    person,
)


def slow_query(seed: str) -> Transcript:
    """A report that takes half a minute: definitions, plans, statistics, an index."""
    script = Script(seed)
    rng = script.rng
    words = Words(rng)
    clock = Clock(rng)
    table = words["things"]
    script.system(OPERATOR)
    script.user(
        f"The {words['package']} report times out for the large tenants. Find out why; you may read, not write."
    )
    text = described(rng, table, words)
    script.bash(f"psql -c '\\d {table}'", text, opening(rng))
    script.fact("number", text.split("CHECK ")[1].split("\n")[0])
    script.fact("name", f"ON DELETE {text.rsplit('ON DELETE ', 1)[1]}")
    script.bash(
        f"psql -c '\\d {words['things4']}'",
        described(rng, words["things4"], words),
        "And the table that it is joined with.",
    )
    text, scan, total = plan(rng, table, slow=True)
    script.bash("psql -c 'EXPLAIN (ANALYZE, BUFFERS) ...'", text, onwards(rng))
    script.fact("name", scan)
    script.fact("number", total)
    script.fact("number", next(line.strip() for line in text.split("\n") if "Sort Method" in line))
    rows: list[list[Any]] = []
    for number in range(150):
        rows.append(
            [
                number + 1,
                rng.choice(COMPANIES),
                rng.choice(CITIES),
                rng.randint(100, 90_000),
                rng.randint(0, 40),
                f"{rng.uniform(1, 80):.1f} ms",
                clock.iso()[:10],
            ]
        )
        clock.tick(90_000_000)
    big = rng.choice(rows)
    big[3], big[5] = rng.randint(4_000_000, 9_000_000), f"{rng.uniform(9_000, 30_000):.1f} ms"
    columns = ("id", "tenant", "city", table, "open", "p95", "since")
    script.bash("psql -c 'select ... order by id'", aligned(columns, rows), onwards(rng))
    script.fact("number", str(big[3]), f"{big[3]:,}")
    script.fact("number", str(big[5]))
    stats = [
        [
            f"{rng.choice(FIELDS)}_{rng.choice(('idx', 'key'))}",
            rng.randint(0, 900_000),
            f"{rng.randint(8, 4_000)} MB",
            rng.randint(0, 99),
        ]
        for _ in range(48)
    ]
    unused = [f"{table}_{words['field5']}_idx", 0, f"{rng.randint(5_000, 9_900)} MB", 0]
    stats.insert(rng.randint(2, 20), unused)
    script.bash(
        "psql -c 'select * from pg_stat_user_indexes ...'",
        aligned(("indexrelname", "idx_scan", "size", "idx_tup_fetch"), stats),
        "Are there indexes that nobody uses?",
    )
    script.fact("name", str(unused[0]))
    script.fact("number", str(unused[2]))
    text, scan, total = plan(rng, table, slow=False)
    script.bash(
        "psql -h staging -c 'EXPLAIN (ANALYZE, BUFFERS) ...'", text, "On staging, with the index that I would propose."
    )
    script.fact("name", scan)
    script.fact("number", total)
    script.say(
        "The large tenants are read in full because there is no index by tenant and state. One "
        "index is never used and could make room."
    )
    script.user("Create the new one concurrently on Sunday at 05:00, and drop the unused one a week later.")
    script.fact("decision", "Create the new one concurrently on Sunday at 05:00, and drop the unused one a week later.")
    return script.end("database-slow-query", "database")


def export(seed: str) -> Transcript:
    """Numbers that do not agree: an export in CSV, the table behind it, and the query that made it."""
    script = Script(seed)
    rng = script.rng
    clock = Clock(rng)
    script.system(OPERATOR)
    script.user("Finance says that the September export is off by a few thousand euros. Compare it with the ledger.")
    head = "entry_id,booked_at,account,counterparty,product,quantity,unit_price,vat_rate,total,currency,state,comment"
    rows = []
    for number in range(260):
        clock.tick(6_000)
        quantity, price = rng.randint(1, 9), rng.randint(300, 30_000) / 100
        rows.append(
            [
                f"{41_200_000 + number}",
                clock.iso()[:19],
                rng.choice(("4400", "4401", "8400", "8120")),
                person(rng),
                rng.choice(PRODUCTS),
                str(quantity),
                f"{price:.2f}",
                "0.19",
                f"{quantity * price:.2f}",
                "EUR",
                "booked",
                "",
            ]
        )
    odd = rng.sample(rows, 4)
    odd[0][8] = f"-{rng.randint(2_000, 9_000)}.{rng.randint(10, 99)}"
    odd[0][11] = f"manual correction by {person(rng)}"
    odd[1][9] = "CHF"
    odd[1][11] = f"rate {rng.randint(90, 99) / 100}"
    odd[2][10] = "reversed"
    odd[3][7] = f"0.{rng.randint(20, 25)}"
    odd[3][11] = f'see ticket FIN-{rng.randint(100, 999)}, "urgent"'
    text = "\n".join(
        [
            head,
            *(
                ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' if "," in cell else cell for cell in row)
                for row in rows
            ),
        ]
    )
    script.call("Read", text, opening(rng), file_path="/exports/2025-09/ledger.csv")
    script.fact("number", odd[0][8])
    script.fact("name", odd[0][11])
    script.fact("name", odd[1][11])
    script.fact("id", f"FIN-{odd[3][11].split('FIN-')[1].split(',')[0]}")
    sums = [
        [account, rng.randint(40, 90), rng.randint(1_000_000, 9_000_000) / 100, rng.randint(1_000_000, 9_000_000) / 100]
        for account in ("4400", "4401", "8120", "8400")
    ]
    script.bash(
        "psql -c 'select account, count(*), sum(total), sum(exported) ...'",
        aligned(("account", "count", "ledger", "exported"), sums),
        onwards(rng),
    )
    script.fact("number", str(sums[1][2]))
    script.fact("number", str(sums[3][3]))
    entries = [
        [
            41_200_000 + number,
            rng.choice(("booked", "booked", "booked", "held")),
            rng.randint(300, 90_000) / 100,
            f"batch-{rng.randint(10, 19)}",
            clock.tick(600).isoformat(sep=" ")[:19],
        ]
        for number in range(140)
    ]
    missing = rng.choice(entries)
    missing[1], missing[3] = "lost", f"batch-{rng.randint(77, 99)}"
    script.bash(
        "psql -c 'select id, state, total, batch, at from ledger ...'",
        aligned(("id", "state", "total", "batch", "at"), entries),
        onwards(rng),
    )
    script.fact("id", str(missing[3]))
    trouble = (
        f"ERROR:  canceling statement due to statement timeout\nCONTEXT:  while updating tuple "
        f'({rng.randint(10, 9_000)},{rng.randint(1, 90)}) in relation "ledger_{rng.randint(2, 40)}"'
    )
    script.bash("psql -c 'select * from export_log ...'", trouble, "What did the job itself say?")
    script.fact("error", trouble.split("\n")[1])
    script.say(
        "Four entries differ: a manual correction, one in another currency, one that was "
        "reversed, one with another tax rate. One batch was lost."
    )
    script.user("Book the lost batch in October; Marta signs the correction. Send nothing to the auditors yet.")
    script.fact("decision", "Send nothing to the auditors yet.")
    return script.end("database-export", "database")


def locks(seed: str) -> Transcript:
    """Writers that wait for each other: a short look at sessions and locks."""
    script = Script(seed)
    rng = script.rng
    words = Words(rng)
    script.system(OPERATOR)
    script.user("Writes hang since ten minutes. Who blocks whom?")
    rows: list[list[Any]] = []
    for _ in range(44):
        rows.append(
            [
                rng.randint(2_000, 32_000),
                f"{words['package']}_app",
                "active",
                rng.choice(("Lock", "Lock", "Client", "IO")),
                f"00:0{rng.randint(0, 9)}:{rng.randint(10, 59)}",
                fill("UPDATE $things SET $field = $small WHERE id = $$1", words).replace("$$", "$"),
            ]
        )
    head = rng.choice(rows)
    head[2], head[3], head[4], head[5] = (
        "idle in transaction",
        None,
        f"03:{rng.randint(10, 59)}:{rng.randint(10, 59)}",
        fill("SELECT * FROM $things FOR UPDATE", words),
    )
    script.bash(
        "psql -c 'select pid, usename, state, wait_event_type, age, query from pg_stat_activity'",
        aligned(("pid", "usename", "state", "wait_event_type", "age", "query"), rows),
        opening(rng),
    )
    script.fact("id", str(head[0]))
    script.fact("error", "idle in transaction")
    script.fact("number", str(head[4]))
    waits = [
        [
            pid,
            head[0] if rng.random() < 0.8 else rng.choice(rows)[0],
            "ShareLock",
            "transactionid",
            rng.randint(10**8, 10**9),
        ]
        for pid in (row[0] for row in rows if row is not head)
    ]
    other = rng.choice(waits)
    other[2], other[3] = "AccessExclusiveLock", "relation"
    script.bash(
        "psql -c 'select ... from pg_locks'",
        aligned(("pid", "blocked_by", "mode", "locktype", "transactionid"), waits),
        onwards(rng),
    )
    script.fact("name", "AccessExclusiveLock")
    script.fact("id", str(other[4]))
    settings = [
        (name, value)
        for name, value in (
            ("deadlock_timeout", "1s"),
            ("idle_in_transaction_session_timeout", "0"),
            ("lock_timeout", f"{rng.randint(61, 900)}s"),
            ("max_connections", str(rng.choice((210, 320, 480)))),
            ("statement_timeout", f"{rng.randint(11, 59)}min"),
        )
    ]
    script.bash(
        "psql -c 'select name, setting from pg_settings ...'", aligned(("name", "setting"), settings), onwards(rng)
    )
    script.fact("number", settings[2][1], f"lock_timeout: {settings[2][1]}")
    script.fact("number", settings[4][1])
    deadlock = (
        f"DETAIL:  Process {rng.randint(2_000, 32_000)} waits for ShareLock on transaction "
        f"{rng.randint(10**8, 10**9)}; blocked by process {rng.randint(2_000, 32_000)}."
    )
    script.bash(
        "tail -n 4 /var/log/postgresql/postgresql.log",
        (
            f"2025-03-04 09:1{rng.randint(0, 9)}:11 UTC [{rng.randint(100, 999)}] ERROR:  deadlock "
            f"detected\n2025-03-04 09:12:11 UTC [{hexadecimal(rng, 3)}] {deadlock}"
        ),
    )
    script.fact("error", deadlock)
    script.say("One session has held its rows for hours, idle in a transaction. The others wait for it.")
    script.user("End that session, and set idle_in_transaction_session_timeout to 5 minutes.")
    script.fact("decision", "set idle_in_transaction_session_timeout to 5 minutes")
    return script.end("database-locks", "database")
