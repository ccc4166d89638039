"""Which events tell of something made up: the label that LOG and FEED carry beside what the event itself says."""

from actors.facility.state import Shard
from schemas import facility as f
from schemas.base import Event


def synthetic(shard: Shard, event: Event) -> bool:
    """Whether the event, already evolved, is about a sensor or a facility that is marked synthetic.

    A level of risk rests on all sensors of its facility, so one synthetic sensor among them is enough.
    """
    if not isinstance(event, f.FacilityEvent) or (facility := shard.facilities.get(event.facility)) is None:
        return False
    facts = shard.columns.facts
    if isinstance(event, f.RiskLevelChanged):
        return facility.facts.synthetic or any(facts[i].synthetic for i in facility.sensors)
    sensor = getattr(event, "sensor", None)
    if sensor is None:
        return facility.facts.synthetic
    i = shard.columns.index.get(sensor)
    return i is not None and facts[i].synthetic
