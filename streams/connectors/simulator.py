"""A simulated city: readings for every sensor of a pack, all of them synthetic.

Values follow the season, the time of day and the traffic, with noise that is bounded, so that a quiet day trips no
limit of the bundled pack. A value depends on the seed, the sensor and the moment alone: two runs with one seed agree.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import datetime
from hashlib import blake2b
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.base import micros
from schemas.facility import FacilityKind, SensorKind
from schemas.packs.pack import Pack, PackSensor
from schemas.tables import GOOD, READINGS
from streams import subjects

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a kind of sensor moves, in its unit: a weighted sum.

    `spread` weighs where this sensor lies among its kind (-1 to 1), `traffic` the load of the streets (0 to 1),
    `outdoor` the air outside (°C), `day` the course of a day (-1 at 3 h, 1 at 15 h), `noise` is one standard deviation.
    """

    base: float = 0.0
    spread: float = 0.0
    traffic: float = 0.0
    outdoor: float = 0.0
    day: float = 0.0
    noise: float = 0.0


BEHAVIOUR: dict[SensorKind, Behaviour] = {
    "vibration": Behaviour(0.3, spread=0.1, traffic=1.5, noise=0.15),
    "tilt": Behaviour(0.0, spread=0.4, traffic=0.02, outdoor=0.01, noise=0.02),
    "crack-width": Behaviour(0.15, spread=0.06, outdoor=-0.0008, noise=0.002),
    "temperature": Behaviour(2.0, spread=1.0, outdoor=1.1, day=4.0, noise=0.1),
    "humidity": Behaviour(62.0, spread=4.0, day=-14.0, noise=1.0),
    "smoke": Behaviour(0.4, spread=0.1, traffic=0.2, noise=0.05),
    "flame": Behaviour(0.02, spread=0.01, noise=0.004),
    "carbon-monoxide": Behaviour(3.0, spread=1.0, traffic=4.0, noise=0.4),
    "leakage-current": Behaviour(0.5, spread=0.2, traffic=0.3, noise=0.05),
    "flood": Behaviour(0.2, spread=0.1, noise=0.02),
    "lift": Behaviour(0.5, spread=0.1, traffic=0.3, noise=0.05),
    "gas": Behaviour(1.0, spread=0.3, noise=0.1),
    "power": Behaviour(220.0, spread=2.0, traffic=-3.0, noise=0.5),
    "displacement": Behaviour(0.0, spread=0.5, traffic=0.4, outdoor=0.05, noise=0.05),
    "strain": Behaviour(0.0, spread=5.0, traffic=20.0, outdoor=0.8, noise=1.0),
    "force": Behaviour(50.0, spread=5.0, traffic=30.0, noise=1.0),
    "other": Behaviour(1.0, spread=0.1, noise=0.01),
}
INDOOR_TEMPERATURE = Behaviour(16.0, spread=1.0, outdoor=0.3, noise=0.05)
INDOORS: frozenset[FacilityKind] = frozenset({"market", "shelter", "booth", "building"})


class SimulatedCity:
    """Readings of all sensors of a pack.

    `boot` is this run's number and must grow from run to run (the second of its start will do); `sequence` is the last
    one sent under it. With `shards`, each partition's readings go in one batch under the pack's gateway; without, each
    facility's go as from its own device. Raises `ValueError` for shards of a pack without a gateway.
    """

    def __init__(self, pack: Pack, seed: int, boot: int, sequence: int = 0, shards: int | None = None) -> None:
        self.boot = boot
        self.sequence = sequence
        self._zone = ZoneInfo(pack.head.timezone)
        self._groups = _groups(pack, shards)
        kinds = {one.id: one.facts.kind for one in pack.facilities}
        self._sensors = [sensor.id for sensor in pack.sensors]
        self._weights: Floats = np.array(
            [astuple(_behaviour(sensor, kinds[sensor.facility])) for sensor in pack.sensors]
        )
        self._low: Floats = np.array([_or(sensor.facts.low, -np.inf) for sensor in pack.sensors])
        self._high: Floats = np.array([_or(sensor.facts.high, np.inf) for sensor in pack.sensors])
        digests = [blake2b(f"{seed}/{name}".encode(), digest_size=8).digest() for name in self._sensors]
        self._keys: Bits = np.array([int.from_bytes(digest, "little") for digest in digests], dtype=np.uint64)

    def batches(
        self, at: datetime, period_s: float, samples: int = 1, at_least: Mapping[str, float] | None = None
    ) -> dict[str, pa.RecordBatch]:
        """The period that ends at `at`, in `samples` even steps: batches (`schemas.tables.READINGS`) by INGEST subject.

        An incident lifts the sensors in `at_least` to those values or more. Moves `sequence` on.
        """
        step = round(period_s * 1_000_000 / samples)
        times: Ints = micros(at) - step * np.arange(samples - 1, -1, -1, dtype=np.int64)
        values = self.values(times)
        for name, value in (at_least or {}).items():
            column = values[:, self._sensors.index(name)]
            np.maximum(column, value, out=column)
        sequences = np.arange(self.sequence + 1, self.sequence + samples + 1, dtype=np.uint64)
        self.sequence += samples
        return {
            subject: self._batch(columns, times, values[:, columns], sequences)
            for subject, columns in self._groups.items()
        }

    def values(self, times: Ints) -> Floats:
        """The quiet city at `times` (µs UTC): one row per time, one column per sensor of the pack."""
        moment = datetime.fromtimestamp(int(times[0]) // 1_000_000, self._zone)
        local = times / 1e6 + moment.utcoffset().total_seconds()  # type: ignore[union-attr] # it has a zone
        values = self._weights[:, 0] + self._weights[:, 1] * _uniform(_mix(self._keys))
        values = values + _course(local) @ self._weights[:, 2:5].T
        values += self._weights[:, 5] * _noise(self._keys[None, :] ^ _mix(times.astype(np.uint64))[:, None])
        return np.clip(values, self._low, self._high)

    def _batch(self, columns: Ints, times: Ints, values: Floats, sequences: Bits) -> pa.RecordBatch:
        samples, sensors = values.shape
        names = pa.array([self._sensors[column] for column in columns], pa.string())
        indices = pa.array(np.tile(np.arange(sensors, dtype=np.int32), samples))
        return pa.RecordBatch.from_arrays(
            [
                pa.DictionaryArray.from_arrays(indices, names),
                pa.array(np.repeat(times, sensors)).cast(READINGS.field("time").type),
                pa.array(values.ravel()),
                pa.array(np.repeat(sequences, sensors)),
                pa.array(np.full(values.size, self.boot, dtype=np.uint32)),
                pa.array(np.full(values.size, GOOD, dtype=np.uint8)),
            ],
            schema=READINGS,
        )


def _groups(pack: Pack, shards: int | None) -> dict[str, Ints]:
    """Columns of the sensors whose readings share a subject."""
    if shards is not None and pack.head.gateway is None:
        raise ValueError(f"the pack {pack.head.city} names no gateway: send per facility (shards=None)")
    kind = subjects.READINGS if shards is None else f"{subjects.GATEWAY_PREFIX}{pack.head.gateway}"
    speakers: dict[int, str] = {}
    groups: dict[str, list[int]] = {}
    for column, sensor in enumerate(pack.sensors):
        speaker = sensor.facility
        if shards is not None:
            speaker = speakers.setdefault(subjects.partition(sensor.facility, shards), sensor.facility)
        groups.setdefault(subjects.raw("facility", speaker, kind), []).append(column)
    return {subject: np.array(columns) for subject, columns in groups.items()}


def _behaviour(sensor: PackSensor, facility: FacilityKind) -> Behaviour:
    if sensor.facts.kind == "temperature" and facility in INDOORS:
        return INDOOR_TEMPERATURE
    return BEHAVIOUR[sensor.facts.kind]


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _course(local: Floats) -> Floats:
    """Traffic, outdoor temperature (°C) and course of the day at local times (s), one column each.

    Rough by intent: means of about -4 °C in January and 26 °C in July, two peaks of traffic on working days and 60 % of
    it at weekends, after no public figure.
    """
    hour = local % 86_400 / 3600
    weekend = np.floor(local / 86_400 + 3) % 7 >= 5
    peaks = np.exp(-((hour - 8.5) ** 2) / 4) + np.exp(-((hour - 18) ** 2) / 5) + 0.5 * np.exp(-((hour - 13) ** 2) / 18)
    traffic = np.minimum(0.08 + 0.8 * peaks, 1.0) * np.where(weekend, 0.6, 1.0)
    day = np.cos(2 * np.pi * (hour - 15) / 24)
    outdoor = 11.1 - 15.5 * np.cos(2 * np.pi * (local / 86_400 - 24) / 365.25) + 5 * day
    return np.stack([traffic, outdoor, day], axis=1)


def _mix(value: Bits) -> Bits:
    """SplitMix64's finaliser: 64 well mixed bits."""
    value = value + np.uint64(0x9E37_79B9_7F4A_7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    return value ^ (value >> np.uint64(31))


def _uniform(bits: Bits) -> Floats:
    """From -1 to 1."""
    return (bits >> np.uint64(11)).astype(np.float64) / 2**52 - 1.0


def _noise(bits: Bits) -> Floats:
    """Nearly normal, standard deviation 1, never beyond 3.5: the sum of four uniform quarters of the bits."""
    bits = _mix(bits)
    quarters = sum(((bits >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.float64) for shift in (0, 16, 32, 48))
    return np.asarray((quarters / 65_536 - 2.0) * np.sqrt(3.0))
