"""Which rows of a global batch each replica gets."""

from collections.abc import Sequence

from train.report_page.pictures import canvas
from train.report_page.pictures.labels import fitting

_ROW, _BAR = 40, 18
_LEAST_LABELLED = 22  # units


def shard_bars(batches: Sequence[tuple[str, Sequence[int]]], key: str, title: str, description: str) -> str:
    """A bar for each batch, cut into the replicas' shares, which are numbered where there is room."""
    figure = canvas.new_figure(_ROW * len(batches) + 50)
    canvas.place(figure, left=14, right=14, top=8, bottom=36)
    axes = figure.subplots()
    longest = max(sum(sizes) for _, sizes in batches) or 1
    axes.set(xlim=(0, longest), ylim=(_ROW * len(batches), 0), yticks=[], xlabel="row of the global batch")
    axes.spines["left"].set_visible(False)
    for index, (name, sizes) in enumerate(batches):
        top = index * _ROW
        axes.text(0, top + 12, fitting(name, canvas.WIDTH - 30, canvas.FONT_SIZE))
        begin = 0
        for replica, size in enumerate(sizes):
            colour = canvas.SERIES[replica % len(canvas.SERIES)]
            axes.barh(top + 17 + _BAR / 2, size, _BAR, left=begin, color=colour, edgecolor=canvas.PAPER, linewidth=1.5)
            if size / longest * (canvas.WIDTH - 28) >= _LEAST_LABELLED:
                middle = begin + size / 2
                box = {"facecolor": canvas.PAPER, "edgecolor": "none", "pad": 1.5}
                axes.text(middle, top + 17 + _BAR / 2, str(replica), ha="center", va="center_baseline", bbox=box)
            begin += size
    return canvas.inline(figure, key, title, description)
