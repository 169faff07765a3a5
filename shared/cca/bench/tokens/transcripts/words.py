"""The words that transcripts are made of, and a way to fill them into a text."""

import random
import re


def listed(text: str, separator: str | None = None) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split(separator))


THINGS = listed(
    "invoice shipment order customer payment refund ticket warehouse carrier parcel coupon subscription ledger account "
    "transfer booking reservation venue session device sensor reading alert report campaign "
    "segment audience lead quote "
    "contract policy claim vendor product variant bundle price discount basket wishlist review rating comment thread "
    "channel message attachment document folder workspace project milestone task sprint release "
    "build artifact pipeline "
    "job worker queue batch snapshot backup replica shard tenant user role permission token "
    "credential secret key webhook "
    "callback event stream topic partition offset cursor page filter index query schema migration column constraint"
)
FIELDS = listed(
    "status amount currency created_at updated_at due_date owner_id region weight_grams retry_count priority locale "
    "time_zone expires_at checksum generation source target_id parent_id quantity unit_price "
    "tax_rate net_total gross_total "
    "external_ref tags notes state attempts last_error started_at finished_at duration_ms size_bytes content_type "
    "display_name email phone country postal_code latitude longitude score threshold window_s ceiling burst batch_size "
    "channel_id sequence shard_key is_active is_archived deleted_at reason kind origin label digest"
)
VERBS = listed(
    "load store fetch resolve validate merge split apply revoke issue cancel archive restore publish schedule dispatch "
    "collect flush rotate renew expire pair rank score normalise convert parse render encode "
    "decode verify sign enqueue "
    "drain assign release lock refresh sync reconcile ingest backfill compare compute estimate"
)
ADJECTIVES = listed(
    "pending stale active expired invalid duplicate missing partial remote local cached primary "
    "secondary recent oldest "
    "overdue empty locked unknown internal external default temporary final raw signed"
)
PACKAGES = listed(
    "billing shipping catalog identity ledger inventory search notify reporting gateway scheduler importer pricing "
    "checkout returns fulfilment loyalty fraud risk settlement analytics media audit onboarding routing telemetry"
)
PARTS = listed(
    "models service store client handlers schema rules limits events policy sessions rounding matching export parser "
    "validation formatter retry cache registry adapters batching cursor signing tracing templates webhooks quotas"
)
FIRST = listed(
    "Amara Bjorn Chiara Dmitri Elif Farah Gustavo Hana Ines Jonas Keiko Leila Mateo Nadia Oskar "
    "Priya Quentin Rosa Sanjay "
    "Tove Umar Vera Wei Ximena Yusuf Zofia Anders Beatriz Caleb Daria Emeka Freya Giulia Hugo Ivana Jaime"
)
LAST = listed(
    "Abdi Bergmann Castillo Dvorak Eriksen Fontaine Galloway Hashimoto Ibrahim Jankowski Kowalski Lindqvist Moreau "
    "Nakamura Okafor Petrov Quispe Rossi Santos Thorne Ueda Vasquez Weber Xu Yilmaz Zimmer Akhtar Brandt Costa Duarte"
)
CITIES = listed(
    "Lisbon Osaka Tallinn Bogota Nairobi Leipzig Porto Ghent Tampere Malmo Lyon Graz Utrecht Bilbao Cork Gdansk Perth "
    "Denver Halifax Austin Tucson Boise Mendoza Cusco Accra Pune Cebu Hanoi Busan Izmir"
)
STREETS = listed("Harbour Mill Station Church Garden Bridge Castle Park River Market School Forest Hill Lake North")
COMPANIES = listed(
    "Northwind Harlow Tessera Brightfield Calder Ostrava Fenwick Lumen Marrow Pinecrest Quarry Saltmarsh Tidewater "
    "Umber Vantage Westgate Yarrow Zephyr Alder Brisk Copperline Dunmore Eastvale Foxglove"
)
PRODUCTS = listed(
    "kettle lamp drill notebook backpack thermos keyboard monitor charger cable speaker tripod helmet jacket sandal "
    "blender toaster router webcam mattress pillow curtain shelf ladder hose rake mug plate bowl spatula scarf"
)
COLOURS = listed("black white navy olive sand coral teal maroon graphite ivory amber slate")
REASONS = listed(
    "connection reset by peer;upstream request timeout;certificate has expired;no such host;permission denied;"
    "quota exceeded for project;checksum mismatch;duplicate key value;lock wait timeout exceeded;broken pipe;"
    "unexpected end of input;stale object version;signature does not match;disk quota exceeded;too many open files",
    ";",
)
PHRASES = listed(
    "is not known;has expired;was cancelled before it was sent;must not be empty;is already assigned;is out of range;"
    "does not belong to this tenant;is still being processed;has no matching entry;exceeds the agreed limit;"
    "cannot be changed after release;is missing a required field;was modified by somebody else",
    ";",
)


def uuid(rng: random.Random) -> str:
    """A version 4 UUID."""
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{rng.choice('89ab')}{digits[17:20]}-{digits[20:]}"


def hexadecimal(rng: random.Random, digits: int) -> str:
    """So many random digits of base 16."""
    return f"{rng.getrandbits(4 * digits):0{digits}x}"


def suffix(rng: random.Random, length: int = 5) -> str:
    """The random end of a pod's name."""
    return "".join(rng.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(length))


def address(rng: random.Random) -> str:
    """An IPv4 address of a private or a public network."""
    start = rng.choice(("10.42", "10.8", "172.18", "192.168", "203.0", "81.2", "185.61"))
    return f"{start}.{rng.randint(0, 254)}.{rng.randint(2, 254)}"


def person(rng: random.Random) -> str:
    """First and last name."""
    return f"{rng.choice(FIRST)} {rng.choice(LAST)}"


def pascal(name: str) -> str:
    """`unit_price` as `UnitPrice`."""
    return "".join(part.capitalize() for part in name.split("_"))


def camel(name: str) -> str:
    """`unit_price` as `unitPrice`."""
    whole = pascal(name)
    return whole[:1].lower() + whole[1:]


def plural(word: str) -> str:
    """More of it."""
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "ch", "sh", "x")) else "s")


class Words(dict[str, str]):
    """Names for the gaps of one text; the same gap always gets the same word.

    `thing`, `thing2` are nouns, `Thing` the same noun in Pascal case, `things` more of it, `THING` in capitals;
    `field` (`Field` in Pascal case, `fieldc` in camel case), `verb` (`Verb`), `adj`, `Person`, `small` (2 to 60),
    `large` (100 to 9,000), `phrase`, `reason`, `package`, `part`.
    """

    def __init__(self, rng: random.Random, **fixed: str) -> None:
        super().__init__(fixed)
        self._rng = rng

    def __missing__(self, key: str) -> str:
        name, number = key.rstrip("0123456789"), key[len(key.rstrip("0123456789")) :]
        value = self._made(name, number)
        self[key] = value
        return value

    def _made(self, name: str, number: str) -> str:
        rng = self._rng
        if name in _FORMS:
            stem, form = _FORMS[name]
            return form(self[stem + number])
        if name in _LISTS:
            words = _LISTS[name]
            taken = {self[key] for key in list(self) if key.rstrip("0123456789") == name}
            return rng.choice([word for word in words if word not in taken] or words)
        if name == "Person":
            return person(rng)
        if name == "small":
            return str(rng.randint(2, 60))
        if name == "large":
            return str(rng.randint(10, 900) * 10)
        raise KeyError(name)


_LISTS = {
    "thing": THINGS,
    "field": FIELDS,
    "verb": VERBS,
    "adj": ADJECTIVES,
    "package": PACKAGES,
    "part": PARTS,
    "phrase": PHRASES,
    "reason": REASONS,
}
_FORMS = {
    "Thing": ("thing", pascal),
    "things": ("thing", plural),
    "Things": ("thing", lambda word: pascal(plural(word))),
    "THING": ("thing", str.upper),
    "Field": ("field", pascal),
    "fieldc": ("field", camel),
    "FIELD": ("field", str.upper),
    "Verb": ("verb", pascal),
    "Adj": ("adj", pascal),
    "Package": ("package", pascal),
}


_GAP = re.compile(
    r"\$(" + "|".join(sorted({*_FORMS, *_LISTS, "Person", "small", "large"}, key=len, reverse=True)) + r")(\d*)"
)


def fill(text: str, words: Words) -> str:
    """A text with its gaps filled: `$thing`, `$field2`, … Other dollar signs stay."""
    return _GAP.sub(lambda gap: words[gap[1] + gap[2]], text)
