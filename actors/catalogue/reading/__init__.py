"""Reading what comes in for a dataset: bytes or records become typed rows, and what is found on the way is told.

Nothing disappears silently. Each row of the source is loaded or is a finding with the action `dropped`; each cell that
is emptied or read as another value than it says is a finding. Silent are only other ways to write the same: blanks
around a cell (of any width), an empty cell, `12.0` for a whole number, the many forms of a date, a time or a yes.
"""
