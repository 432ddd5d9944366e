"""Reading a history from CSV or TSV: maps, typed days, named refusals."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from schemas.course import Substance
from service import errors
from service.import_history import file as import_file
from service.import_history import maps
from service.import_history.file import History, Refusal
from service.tables import BadFile

TODAY = date(2026, 11, 22)
EXCERPT = Path(__file__).parent / "data" / "jang2024_excerpt.tsv"
WHOLE = Path(__file__).parents[2] / "shared" / "data" / "jang2024_panic_daily" / "daily.tsv"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.csv"


def read(file: Path, text: str, map_name: str | None = None) -> History:
    file.write_text(text, encoding="utf-8")
    return import_file.read(file, map_name=map_name, today=TODAY)


def test_every_column_of_the_plain_map_is_read(file: Path) -> None:
    history = read(
        file,
        "client,day,craving,mood,anxiety,infusion,craving_opioid,used,note\n"
        'a,2026-11-01,7,4,6,1,2,"other;opioid","slept, badly"\n',
    )
    assert history.map.name == "plain"
    (day,) = history.days
    assert (day.client, day.day, day.line) == ("a", date(2026, 11, 1), 2)
    assert day.craving == {Substance.OTHER: 7, Substance.OPIOID: 2}
    assert (day.mood, day.anxiety, day.infusion) == (4, 6, True)
    assert day.used == [Substance.OPIOID, Substance.OTHER]
    assert day.note == "slept, badly"


def test_an_empty_cell_is_not_answered_and_an_empty_row_is_no_day(file: Path) -> None:
    history = read(file, "client,day,craving,mood,anxiety\na,2026-11-01,,4,\na,2026-11-02,,,\n\n")
    (day,) = history.days
    assert (day.craving, day.mood, day.anxiety, day.used) == ({}, 4, None, None)
    assert ([day.line for day in history.blank], history.refusals) == ([3], [])


def test_used_tells_not_asked_none_the_primary_substance_and_named_ones_apart(file: Path) -> None:
    history = read(
        file,
        "client,day,mood,used\na,2026-11-01,5,\na,2026-11-02,5,0\na,2026-11-03,5,none\na,2026-11-04,5,1\n"
        "a,2026-11-05,5,alcohol cocaine\n",
    )
    assert [day.used for day in history.days] == [None, [], [], ["other"], ["alcohol", "cocaine"]]


@pytest.mark.parametrize(
    ("row", "column", "why"),
    [
        ("a,2026-11-01,11,4", "craving", "craving.other must be 0 to 10"),
        ("a,2026-11-01,-1,4", "craving", "craving.other must be 0 to 10"),
        ("a,2026-11-01,3.5,4", "craving", "craving.other must be a whole number"),
        ("a,2026-11-01,3.0,4.1", "mood", "mood must be a whole number"),
        ("a,2026-11-01,x,4", "craving", "not a number"),
        ("a,2026-11-01,nan,4", "craving", "not a number"),
        ("a,2026-11-23,3,4", "day", "must be 1970-01-01 to today"),
        ("a,1969-12-31,3,4", "day", "must be 1970-01-01 to today"),
        ("a,2026-02-30,3,4", "day", "there is no such date"),
        ("a,01.11.2026,3,4", "day", "must be a date such as 2026-11-22"),
        (",2026-11-01,3,4", "client", "empty"),
        ("a,2026-11-01,3", "-", "3 cells under 4 columns"),
    ],
)
def test_a_row_that_cannot_be_taken_is_refused_by_line_column_and_reason(
    file: Path, row: str, column: str, why: str
) -> None:
    history = read(file, f"client,day,craving,mood\nb,2026-11-01,3,4\n{row}\n")
    assert history.refusals == [Refusal(3, column, why)]
    assert [day.client for day in history.days] == ["b"]


def test_a_refusal_never_holds_the_cell_it_refuses(file: Path) -> None:
    history = read(
        file,
        "client,day,craving,note,used,infusion\na,2026-11-01,77,,,\na,2026-11-02,1,,wine,\n"
        "a,2026-11-03,1,,,yes\na,2026-11-04,1," + "y" * 2001 + ",,\n",
    )
    assert [refusal.column for refusal in history.refusals] == ["craving", "used", "infusion", "note"]
    told = " ".join(refusal.why for refusal in history.refusals)
    assert not any(secret in told for secret in ("77", "wine", "yes", "yyy"))


def test_rows_that_say_the_same_twice_count_once_and_contradicting_ones_are_all_refused(file: Path) -> None:
    history = read(
        file,
        "client,day,mood\na,2026-11-01,4\na,2026-11-01,4\na,2026-11-02,4\na,2026-11-02,5\n",
    )
    assert [(day.day.day, day.mood) for day in history.days] == [(1, 4)]
    assert history.repeated == 1
    assert [(refusal.line, refusal.why) for refusal in history.refusals] == [
        (4, "lines 4, 5 differ for one client and day"),
        (5, "lines 4, 5 differ for one client and day"),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "line 1, column -: the file is empty"),
        (b"client,day,craving,modd\n", "line 1, column modd: unknown column; did you mean mood?"),
        (b"client,craving\n", "line 1, column day: missing"),
        (b"client,day,mood,mood\n", "line 1, column mood: named twice"),
        (b"client,day,note\n", "line 1, column -: no column holds craving, mood or anxiety"),
        (b"client,day,craving,craving_other\n", "line 1, column craving_other: craving of the primary substance"),
        (b"client,day,mood\na,2026-11-01,3\n\xff,2026-11-01,3\n", "line 3, column at byte 1: not UTF-8 text"),
        (b"\nclient,day,mood\n", "line 1, column -: the line is empty; the first must name the columns"),
        (
            b'client,day,mood\n"a,2026-11-01,3\n\n',
            "line 2, column -: not a table (a quotation mark opens here and never",
        ),
        (b"client;day;mood\n", "line 1, column -: split by semicolons; expected are commas (CSV) or tabs (TSV)"),
        (b"client|day|mood\n", "split by bars"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_naming_file_line_and_column(
    file: Path, content: bytes, told: str
) -> None:
    file.write_bytes(content)
    with pytest.raises(BadFile) as caught:
        import_file.read(file, map_name=None, today=TODAY)
    assert str(caught.value).startswith(f"{file}: line ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"nowhere\.csv: cannot be read"):
        import_file.read(tmp_path / "nowhere.csv", map_name=None, today=TODAY)


def test_a_byte_order_mark_tabs_and_windows_line_ends_are_read(file: Path) -> None:
    file.write_bytes("\ufeffclient\tday\tmood\r\na\t2026-11-01\t4\r\n".encode())
    assert [day.mood for day in import_file.read(file, map_name=None, today=TODAY).days] == [4]


def test_a_quotation_mark_in_a_tsv_note_is_a_letter_unless_it_quotes_the_whole_cell(file: Path) -> None:
    notes = ['"slept" badly', '"never', 'said "no"', '"one\ntwo, ""three"""', '""', 'ends"']
    rows = "".join(f"a\t2026-11-0{n}\t4\t{note}\n" for n, note in enumerate(notes, 1))
    history = read(file, f"client\tday\tmood\tnote\n{rows}a\t2026-11-07\t99\t")
    assert [day.note for day in history.days] == [
        '"slept" badly',
        '"never',
        'said "no"',
        'one\ntwo, "three"',
        None,
        'ends"',
    ]
    assert [(refusal.line, refusal.column) for refusal in history.refusals] == [(9, "mood")]


def test_a_note_over_several_lines_keeps_the_line_numbers_right(file: Path) -> None:
    history = read(file, 'client,day,mood,note\na,2026-11-01,4,"one\ntwo"\na,2026-11-02,99,\n')
    assert [(refusal.line, refusal.column) for refusal in history.refusals] == [(4, "mood")]


def test_a_score_is_rounded_half_up() -> None:
    assert [maps.rounded(Fraction(n, 2)) for n in (0, 1, 2, 3, 5)] == [0, 1, 1, 2, 3]


def test_the_shipped_map_recognises_the_jang_dataset_by_its_header_and_converts_exactly() -> None:
    history = import_file.read(EXCERPT, map_name=None, today=TODAY)
    assert history.map.name == "jang2024"
    assert (len(history.days), history.refusals) == (152, [])
    first = next(day for day in history.days if day.client == "SYM2-1-309")
    source = EXCERPT.read_text().splitlines()[first.line - 1].split("\t")
    positive, negative, anxiety = (int(source[position]) for position in (3, 4, 5))
    assert first.mood == maps.rounded(Fraction(10, 6) * (positive + negative + 3))
    assert first.anxiety == maps.rounded(Fraction(10, 3) * anxiety)
    assert first.craving == {}


AT_HAND = [each for each in ((EXCERPT, 3, 152), (WHOLE, 43, 3969)) if each[0].is_file()]


@pytest.mark.parametrize(("path", "clients", "days"), AT_HAND)
def test_every_row_of_the_jang_dataset_is_taken(path: Path, clients: int, days: int) -> None:
    history = import_file.read(path, map_name=None, today=TODAY)
    assert (len({day.client for day in history.days}), len(history.days), history.refusals) == (clients, days, [])


def test_a_map_of_ones_own_reads_other_columns_factors_and_substance(tmp_path: Path, file: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'name = "diary"\ntitle = "A paper diary"\nclient = "who"\nday = "on"\nother_columns = "ignore"\n'
        'primary_substance = "alcohol"\n[craving]\ncolumns = { urge = "1/10" }\n'
        '[mood]\noffset = "10"\ncolumns = { sadness = "-2" }\n'
    )
    history = read(file, "who,on,urge,sadness,shoe size\nz,2026-11-01,64,2,43\n", str(own))
    assert (history.days[0].craving, history.days[0].mood) == ({Substance.ALCOHOL: 6}, 6)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name = "x"', "missing required field"),
        ('name = "x"\ntitle = ""\nclient = "c"\nday = "d"\nsurprise = 1', "unknown field `surprise`"),
        ('name = "x"\ntitle = ""\nclient = "c"\nday = "d"\n[mood]\ncolumns = { a = "import os" }', "regex"),
        ("name =", "Invalid value"),
    ],
)
def test_a_broken_map_is_refused_with_its_file_and_fault(tmp_path: Path, text: str, told: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(errors.Invalid, match=r"own\.toml") as caught:
        maps.read(own)
    assert told in str(caught.value)


def test_a_map_that_nobody_has_is_refused_with_the_names_there_are(file: Path) -> None:
    with pytest.raises(errors.Invalid, match="jang2024, plain"):
        read(file, "client,day,mood\n", "jnag2024")


def test_a_column_that_a_map_needs_and_the_file_lacks_is_named(file: Path) -> None:
    with pytest.raises(BadFile, match="column positive_feeling: missing"):
        read(file, "id,date,negative_feeling,anxiety\n", "jang2024")
