"""Pictures of `train.report_page`, drawn by matplotlib and put into the page as ``<svg>``."""
