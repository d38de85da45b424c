"""COVAREP's columns by family; apart, so that listing them does not load what computes."""

from __future__ import annotations

#: Columns of each family, in the order of the toolbox.
FAMILIES: dict[str, tuple[str, ...]] = {
    "pitch": ("F0", "VUV"),
    "cycles": ("NAQ", "QOQ", "H1H2", "PSP", "MDQ"),
    "slope": ("peakSlope",),
    "rd": ("Rd", "Rd_conf"),
    "creak": ("creak",),
    "mcep": tuple(f"MCEP_{i}" for i in range(25)),
    "hmpd": (*(f"HMPDM_{i}" for i in range(25)), *(f"HMPDD_{i}" for i in range(13))),
}
