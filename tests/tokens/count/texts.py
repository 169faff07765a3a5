"""Texts that tokenizers trip over, the same on every machine: code in eight languages, six scripts, logs, and worse.

Code is made by seeded programs from names and lines of the standard library, so that no machine lacks a language.
"""

import json
import random
import re
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROSE = {
    "latin": "Zum Glück hat niemand gefragt, warum es läuft; l'été s'achève déjà. ¿Dónde está Wałęsa? It isn't here.",
    "cyrillic": "Сегодня хорошая погода, пойдём в парк! Їжак під'їхав до криниці — він не знав, що робити далі.",
    "greek": "Ο καιρός είναι καλός σήμερα· πάμε βόλτα; Δεν ξέρω τι ώρα είναι, αλλά θα ρωτήσω.",
    "arabic": "الطقس جميل اليوم، هل نذهب إلى الحديقة؟ لا أعرف كم الساعة الآن ٣:٤٥، لكنني سأسأل.",
    "hebrew": "מזג האוויר נעים היום, אולי נלך לפארק? אני לא יודע מה השעה — אשאל מישהו.",
    "devanagari": "आज मौसम अच्छा है, क्या हम पार्क चलें? मुझे नहीं पता कि कितने बजे हैं।",
    "han": "今天天气很好，我们去公园玩吧。我不知道现在几点了？「请问一下」——他说：「三点四十五分。」",
    "japanese": "今日は天気がいいので、公園に行きましょう。何時か分かりませんが、聞いてみます！ｶﾀｶﾅもある。",
    "korean": "오늘은 날씨가 좋으니 공원에 갑시다. 지금 몇 시인지 모르겠지만 물어볼게요!",
    "thai": "วันนี้อากาศดี เราไปเที่ยวสวนสาธารณะกันเถอะ ไม่รู้ว่ากี่โมงแล้ว",
}
EMOJI = "😀 👩‍👩‍👧‍👦 🏳️‍🌈 ❤️ 👍🏽 🇩🇪🇫🇷 ☎️ 1️⃣ 🧑🏿‍🚀 ✂ © ™ → ≠ ½ Ⅷ ﬁ 𝔘𝔫𝔦 𝟘𝟙 e\u0301 n\u0303 \u200d \ufeff \u200b"
SPECIAL = (
    "<|endoftext|> <|fim_prefix|><|fim_middle|><|fim_suffix|> <|endofprompt|> <|im_start|>user<|im_end|> <|start|>"
)
NASTY = (
    "",
    " ",
    "\n",
    "\r\n\r\n \t\n",
    "a" * 5_000,
    " " * 5_000,
    "\n" * 5_000,
    "\t \n" * 2_000,
    "7" * 5_000,
    "=" * 3_000 + "-" * 3_000,
    "'" * 3_000,
    "it's IT'S 'tis dogs' x'S don'T I'LL we'Ve 'd 's",
    "e" + "\u0301" * 3_000,
    "\x00\x01\x1b[31mred\x1b[0m\x7f\x85\u2028\u2029\u00a0\u3000x",
    "\ufdd0\ufffe\uffff\U0010ffff\ue000",
    "AbcDEFghiJKLmno_pqr-stu.vwx/yz" * 100,
    "x" + "\r" * 500 + "\n y",
    EMOJI * 20,
    SPECIAL * 20,
)

_FORMS = {
    "python": (
        "def {a}({b}: int, {c}=None) -> str:\n    '''{p}.'''\n    if {b} > {n} and not {c}:\n"
        '        raise {A}Error(f"{p}: {{{b}!r}}")\n    return self.{d}[{b}:{n}]  # {p}\n\n'
    ),
    "javascript": (
        "export const {a} = async ({{ {b}, {c} = {n} }}) => {{\n  // {p}\n"
        "  const {d} = await fetch(`/api/${{{b}}}/{c}`);\n"
        "  if (!{d}?.ok || {b} === '{p}') throw new {A}Error(\"{p}\");\n"
        "  return {d}.json().then(x => x.{a} ?? {n});\n}};\n\n"
    ),
    "typescript": (
        "interface {A}<T extends {B}> {{\n  readonly {a}: Map<string, T[]>;\n"
        "  {b}?: (x: number | undefined) => Promise<void>;\n}}\n/** {p} */\n"
        "export class {B} implements {A}<any> {{ private {c} = 0x{n}; get {d}() {{ return this.{c}!; }} }}\n\n"
    ),
    "go": (
        "// {A} {p}.\nfunc (s *{B}) {A}(ctx context.Context, {a} []byte) (int, error) {{\n"
        "\tif err := s.{b}({a}); err != nil {{\n"
        '\t\treturn {n}, fmt.Errorf("{p}: %w", err)\n\t}}\n'
        "\t{c} := make(chan struct{{}}, {n})\n\treturn len({a}), nil\n}}\n\n"
    ),
    "rust": (
        "/// {p}\n#[derive(Debug, Clone)]\npub struct {A}<'a> {{ {a}: &'a str, {b}: Vec<u{n}> }}\nimpl<'a> {A}<'a> {{\n"
        "    pub fn {c}(&mut self) -> Result<(), {B}> {{ self.{b}.push({n}_u32 as _);\n"
        '        println!("{{:?}} {p}", self); Ok(()) }}\n}}\n\n'
    ),
    "java": (
        "/** {p}. */\n@Override\npublic final class {A} extends {B}<String, List<Integer>> {{\n"
        "\tprivate static final int {a} = {n};\n"
        '\tprotected void {b}(final {B} {c}) throws {A}Exception {{ LOG.info("{p} {{}}", {c}.{d}()); }}\n}}\n\n'
    ),
    "c": (
        "#include <{a}.h>\n#define {A} (1u << {n})\n/* {p} */\nstatic int {b}(const struct {c} *{d}, size_t n)\n{{\n"
        "\tfor (size_t i = 0; i < n; ++i)\n"
        "\t\tif ({d}->{a}[i] == '\\0' || !strcmp({d}->{c}, \"{p}\\n\"))\n\t\t\treturn -{n};\n}}\n\n"
    ),
    "cpp": (
        "template <typename T, std::size_t N = {n}>\nclass {A} : public {B}<T> {{\npublic:\n"
        "    explicit {A}(T&& {a}) noexcept : {b}_{{std::move({a})}} {{}}  // {p}\n"
        "    auto {c}() const -> decltype(auto) {{ return {b}_->{d} <=> 0x{n}ull; }}\n}};\n\n"
    ),
}


@cache
def _library() -> tuple[list[str], list[str]]:
    """Names and phrases that occur in the standard library."""
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in _sources()[:60])
    names = sorted(set(re.findall(r"\b[a-z][A-Za-z_0-9]{2,20}\b", text)))
    phrases = sorted(set(re.findall(r"# ([A-Z][^\n]{10,70})", text)))
    return names, phrases


def _sources() -> list[Path]:
    return sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))


def code(language: str, size: int) -> str:
    """So many characters of code in a language, always the same."""
    names, phrases = _library()
    rng = random.Random(language)
    out: list[str] = []
    length = 0
    while length < size:
        one, two, three, four = rng.choices(names, k=4)
        fields = {"a": one, "b": two, "c": three, "d": four, "A": one.title(), "B": two.capitalize()}
        out.append(_FORMS[language].format(**fields, n=rng.randrange(10**5), p=rng.choice(phrases)))
        length += len(out[-1])
    return "".join(out)


def real_code(size: int) -> str:
    """So many characters of the standard library, and the header files of Python where they are."""
    headers = sorted(Path(sysconfig.get_path("include")).glob("*.h"))[:20]
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in [*headers, *_sources()])
    return text[:size]


def logs(size: int) -> str:
    """Lines of a log, of several forms."""
    names, phrases = _library()
    rng = random.Random(5)
    lines: list[str] = []
    for _ in range(size // 170):
        name, number = rng.choice(names), rng.randrange(10**8)
        at = f"2025-11-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:07.{number % 1000:03}Z"
        lines.append(f"{at} ERROR [{name}] {rng.choice(phrases)} id={number:08x} took={rng.random():.3f}s\r")
        lines.append(f'10.0.0.{number % 255} - - [{at}] "GET /{name}?q=%20{number % 99} HTTP/1.1" 200 {number}')
    return "\n".join(lines)


def documents(size: int) -> str:
    """JSON, on one line and on many."""
    names, phrases = _library()
    rng = random.Random(6)
    values = [None, True, [1, 2.5e-9], {"x": -1}, *phrases, *(rng.randrange(10**9) for _ in range(99))]
    rows = [{name: rng.choice(values) for name in rng.choices(names, k=6)} for _ in range(size // 400)]
    return json.dumps(rows) + "\n" + json.dumps(rows, indent=2)


def mixture(seed: int, length: int) -> str:
    """Bits of everything in any order."""
    rng = random.Random(seed)
    short = ["don't", " 'll", "\r\n", "   \n", "\n\n\n", "1234567", "_x", "A", "aB", "¿", "ß", "ﬀ"]
    bits = [*PROSE.values(), *NASTY, EMOJI, SPECIAL, *short]
    return "".join(_slice(rng, rng.choice(bits)) for _ in range(length))


def _slice(rng: random.Random, text: str) -> str:
    start = rng.randint(0, len(text))
    return text[start : start + rng.randint(0, 30)]


def everything() -> Iterator[tuple[str, str]]:
    """Every text with a name: 2 MB of code in eight languages, prose in ten scripts, and the rest."""
    yield "real code", real_code(500_000)
    for language in _FORMS:
        yield language, code(language, 210_000)
    for script, text in PROSE.items():
        yield script, (text + "\n") * 30
    yield "emoji", EMOJI * 50
    yield "special", SPECIAL * 50
    yield "logs", logs(200_000)
    yield "json", documents(200_000)
    for number, text in enumerate(NASTY):
        yield f"nasty {number}", text
    yield "mixture", mixture(1, 5_000)
