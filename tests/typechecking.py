"""The checker of annotations for the test run: beartype, which lets an `int` be a `float`, as PEP
484 has it.
"""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
