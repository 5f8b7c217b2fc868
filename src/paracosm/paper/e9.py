"""E9."""
from paracosm.paper.e9_cells import cells
from paracosm.paper.study import Study
STUDY = Study("?", cells, lambda answers: None)
