"""What a service says of itself at GET /metrics, as families with our labels added. Pure.

A service is believed about itself alone: only the families of `families.RELAYED` pass, with their
type and labels. A text that is no exposition, has none of them, or is endless is refused whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from twinstack.observe.metrics.families import RELAYED

#: The library's name of a family is without _total.
_DECLARED = {family.name.removesuffix("_total"): family for family in RELAYED}
#: A service's own text has some twenty kilobytes.
MOST_BYTES, MOST_SAMPLES = 256 << 10, 4_000
#: Labels that we, or the Prometheus that scrapes us, set.
_TAKEN = frozenset({"world", "service", "replica", "instance", "job"})


def read(body: bytes) -> tuple[Metric, ...] | None:
    """Read a service's text; None where it is none, or too long."""
    if len(body) > MOST_BYTES:
        return None
    try:
        families = tuple(text_string_to_metric_families(body.decode()))
    except Exception:  # the parser raises whatever its own code does on rubbish
        return None
    kept = tuple(
        family
        for family in families
        if (declared := _DECLARED.get(family.name)) and family.type == declared.kind
    )
    too_many = sum(len(family.samples) for family in kept) > MOST_SAMPLES
    return None if too_many or not kept else kept


def merged(
    read_of: Iterable[tuple[Mapping[str, str], tuple[Metric, ...]]],
) -> tuple[Metric, ...]:
    """Merge the families of replicas, each given with its labels, into one family a name."""
    families: dict[str, Metric] = {}
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    for labels, own in read_of:
        for family in own:
            declared, into = _DECLARED[family.name], families.get(family.name)
            if into is None:
                into = Metric(family.name, family.documentation, family.type)
                families[family.name] = into
            for sample in family.samples:
                value, merged_labels = float(sample.value), _labels(sample.labels, labels)
                key = (sample.name, tuple(sorted(merged_labels.items())))
                # A name that Prometheus cannot read would cost it all that is here.
                known = sample.name in declared.series and set(merged_labels) <= {*declared.labels}
                if known and math.isfinite(value) and key not in seen:
                    seen.add(key)
                    into.samples.append(Sample(sample.name, merged_labels, value))
    return tuple(families[name] for name in sorted(families))


def _labels(own: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """Add our labels; one of the service's that has such a name becomes exported_…, as usual."""
    renamed = {f"exported_{name}" if name in _TAKEN else name: text for name, text in own.items()}
    return {**ours, **renamed}
