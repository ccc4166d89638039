"""One facility without its columns: facts, maintenance, alarms on the list, stale sensors, risk. Small and copyable."""

from dataclasses import dataclass, field, replace

from schemas import facility as f
from schemas.base import micros

ACTIVE, ACKNOWLEDGED, RETURNED = "active", "acknowledged", "returned"


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm on the list. Moments are µs UTC, `None` where it has not happened.

    `state` after ISA-18.2: `active` (unacknowledged), `acknowledged` (still active), `returned` (back to normal,
    unacknowledged). A cleared alarm is not on the list. `verdict` is the newest one.
    """

    id: str
    sensor: str
    condition: f.Condition
    level: f.Level
    state: str
    value: float
    limit: float
    unit: str
    synthetic: bool
    raised_at: int
    returned_at: int | None = None
    acknowledged_at: int | None = None
    acknowledged_by: str | None = None
    shelved_until: int | None = None
    shelved_by: str | None = None
    shelf_reason: str | None = None
    verdict: f.Verdict | None = None

    @property
    def open(self) -> bool:
        """Whether its condition still holds."""
        return self.state != RETURNED


@dataclass(slots=True)
class Facility:
    """A facility's own state; `sensors` are indices into the columns in order of registration."""

    id: str
    facts: f.FacilityFacts
    risk_since: int
    risk: f.Risk = "normal"
    maintenance: bool = False
    sensors: list[int] = field(default_factory=list)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)

    def copy(self) -> "Facility":
        """A copy that may be evolved without touching this one."""
        return replace(self, sensors=list(self.sensors), alarms=dict(self.alarms), stale=set(self.stale))

    def apply(self, event: f.FacilityEvent) -> None:  # noqa: C901 - one arm per event
        """Evolve by one event of this facility. Never raises, never judges; an alarm not on the list stays off it."""
        match event:
            case f.FacilityRegistered():
                self.facts = event.facts
            case f.SensorRegistered():
                if event.facts.stale_after_s is None or event.facts.recorded:
                    self.stale.discard(event.sensor)
            case f.MaintenanceBegun():
                self.maintenance = True
            case f.MaintenanceEnded():
                self.maintenance = False
            case f.AlarmRaised():
                self.alarms[event.alarm] = Alarm(
                    event.alarm, event.sensor, event.condition, event.level, ACTIVE, event.value, event.limit,
                    event.unit, event.synthetic, micros(event.at),
                )  # fmt: skip
            case f.AlarmCleared():
                self.alarms.pop(event.alarm, None)
            case f.AlarmEvent():
                if (alarm := self.alarms.get(event.alarm)) is not None:
                    self.alarms[event.alarm] = _moved(alarm, event)
            case f.RiskLevelChanged():
                self.risk, self.risk_since = event.risk, micros(event.at)
            case f.SensorStale():
                self.stale.add(event.sensor)
            case f.SensorRestored():
                self.stale.discard(event.sensor)


def _moved(alarm: Alarm, event: f.AlarmEvent) -> Alarm:
    match event:
        case f.AlarmReturned():
            return replace(alarm, state=RETURNED, returned_at=micros(event.at))
        case f.AlarmAcknowledged():
            state = ACKNOWLEDGED if alarm.open else RETURNED
            return replace(alarm, state=state, acknowledged_at=micros(event.at), acknowledged_by=event.by)
        case f.AlarmShelved():
            until = micros(event.until)
            return replace(alarm, shelved_until=until, shelved_by=event.by, shelf_reason=event.reason)
        case f.AlarmUnshelved():
            return replace(alarm, shelved_until=None, shelved_by=None, shelf_reason=None)
        case f.AlarmJudged():
            return replace(alarm, verdict=event.verdict)
    return alarm
