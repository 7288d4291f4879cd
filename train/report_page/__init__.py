"""``report.html``: the record of a run as one page for people who would rather look than read."""
