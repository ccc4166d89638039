"""Entries of every kind, as a city has them."""

from datetime import UTC, date, datetime
from typing import Any

from schemas.dataset import Column, Dataset, FromFile, Points
from serve.catalogue.entry import Entry

REGISTERED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REFRESHED = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
NAME = Column(id="name", ko="이름", en="Name")
LON = Column(id="lon", ko="경도", en="Longitude", kind="number")
LAT = Column(id="lat", ko="위도", en="Latitude", kind="number")


def facts(ko: str = "버스정류장", en: str = "Bus stops", **more: Any) -> Dataset:
    said: dict[str, Any] = {
        "title_ko": ko,
        "title_en": en,
        "description_ko": f"{ko}에 관한 자료",
        "description_en": f"Data on {en.lower()}",
        "subject": "transport",
        "owner_ko": "교통과",
        "owner_en": "Transport department",
        "source": "공공데이터포털 (data.go.kr)",
        "licence": "이용허락 표시 없음",
        "columns": (NAME,),
    }
    return Dataset(**said | more)


def entry(id: str = "bus-stops", status: Any = "fresh", of: Dataset | None = None, **more: Any) -> Entry:  # noqa: A002
    return Entry(id, of or facts(), status, REGISTERED, more.pop("modified_at", REGISTERED), **more)


OPEN = {"staff_from": date(2024, 3, 1), "citizens_from": date(2024, 7, 1)}
PLACED = facts(
    columns=(NAME, LON, LAT),
    geometry=Points(x="lon", y="lat"),
    licence="CC BY 4.0",
    licence_url="https://creativecommons.org/licenses/by/4.0/",
    keywords=("정류장", "stop"),
    interval_s=86_400,
    connector=FromFile(format="csv", file="stops.csv"),
    **OPEN,
)
CAMERAS = facts("폐쇄회로", "Cameras", synthetic=True)
LAMPS = facts("가로등", "Street lamps", staff_from=date(2024, 3, 1))
GONE = {"retired_at": REFRESHED, "retired_reason": "원천 종료"}
KINDS = [
    entry("open", of=PLACED, refreshed_at=REFRESHED, data_time=REFRESHED, rows=1_890, completeness=0.98),
    entry("staff", "late", LAMPS, refreshed_at=REFRESHED),
    entry("own", "down", CAMERAS, refreshed_at=REFRESHED, columns_changed_at=REFRESHED),
    entry("waiting", "waiting", facts("제설", "Snow clearing", interval_s=5, subject="safety")),
    entry("declared", "not-connected", facts("예산", "Budget", interval_s=86_400 * 365, subject="finance", **OPEN)),
    entry("old", "retired", refreshed_at=REFRESHED, superseded_by="open", **GONE),
    entry("never", "retired", superseded_by="hidden", **GONE),
]
"""One of each state, and of each way of being open."""
