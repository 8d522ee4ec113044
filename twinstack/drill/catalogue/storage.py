"""Files that are there and cannot be used: owners, and what is full."""

from __future__ import annotations

from twinstack.drill.catalogue.probes import FILLED_CART
from twinstack.drill.drill import Drill

_OWNED = "{redis-cache.user}:{redis-cache.user}"

DRILLS = (
    Drill(
        name="restored-by-root",
        area="storage",
        level=1,
        restart="redis-cache",
        symptom="Carts are gone: 503, since the backup was restored. Products and orders are as"
        " ever.",
        probes=(FILLED_CART,),
        put=("chown 0:0 {redis-cache.data}", "kill {redis-cache.pid}"),
        hints=(
            "Carts are in Redis. Does it run? Its log says what it does last.",
            "It may not open its own files. Who owns them, and as whom does it run?",
            "ls -ldn {redis-cache.data}, and compare with the user in topology.yml.",
        ),
        repair=("chown " + _OWNED + " {redis-cache.data}", "{runner} restart {redis-cache.unit}"),
        explanation=(
            "The directory of Redis' data belonged to root, mode 0700: the user that Redis runs as"
            " could not go into it. A Redis that has its files open does not notice; it showed at"
            " the next start. Mode 0777 would let everybody read the carts and replace the files."
        ),
        wrong=("chmod 777 {redis-cache.data}", "{runner} restart {redis-cache.unit}"),
        refusal="0777",
        undo=(
            (
                '[ "$(stat -c %u:%g:%a {redis-cache.data})" = {redis-cache.user}:'
                "{redis-cache.user}:700 ] || {{ chown {redis-cache.user}:{redis-cache.user}"
                " {redis-cache.data}; chmod 700 {redis-cache.data};"
                " {runner} restart {redis-cache.unit}; }}"
            ),
        ),
    ),
)
